package auth

import (
	"context"
	"net/url"
	"slices"
	"time"
)

// A User is a type of your application that knows its account. A struct that embeds
// Account is one, through its pointer:
//
//	type User struct {
//		auth.Account
//		Name string
//	}
//
// The library never writes through the pointer that AuthAccount returns, and never
// keeps it beyond the request.
type User interface {
	AuthAccount() *Account
}

// A FormReader is a [User] with fields of its own that come from the registration form.
// The store calls ReadForm on the new user before it saves the user. If ReadForm
// returns an error, CreateUser saves nothing and returns that error. memstore and
// sqlstore do this. If you write your own store and your users are FormReaders, it must
// do the same.
type FormReader interface {
	ReadForm(form url.Values) error
}

// A FormIgnorer is a [UserStore] that can say that its CreateUser does not use the form of a
// registration. memstore and sqlstore are FormIgnorers: they use the form only if the user
// type is a [FormReader]. Package pages asks, so that New can refuse a field that would be lost.
type FormIgnorer interface {
	// IgnoresForm reports whether CreateUser ignores its form. It always returns the same.
	IgnoresForm() bool
}

// An Account is what the library must know about a user.
//
// Its texts are valid UTF-8 without NUL; a store may refuse others. It has no String,
// LogValue or MarshalJSON method, because embedding would promote it to your type. Its
// secrets are of type [Secret], which is never printed by accident.
//
// A client must not set these fields. An attacker who sends an ID with a form could
// change another user, and one who sends Roles could become an administrator. So
// encoding/json and encoding/xml neither read nor write them, and popular decoders of
// forms (gorilla/schema, go-playground/form, gin) do not read them. Other decoders use
// other tags, and encoding/gob has none. So decode what a client sends into a type that
// has only the fields of that form. A store that keeps users as JSON uses
// [StoredAccount].
type Account struct {
	// ID names the account for ever. The library does not look into it. If it is empty,
	// the store sets it in CreateUser. It is never reused, not even after the account
	// is deleted.
	ID string `json:"-" xml:"-" form:"-" schema:"-"`

	// Username and Email are what the user typed. They are compared in their canonical
	// forms (UsernameKey, EmailKey). Mail goes to Email as it is written here. Either
	// may be empty.
	Username string `json:"-" xml:"-" form:"-" schema:"-"`
	Email    string `json:"-" xml:"-" form:"-" schema:"-"`

	// EmailVerified says that the owner of the mailbox Email has proved to own the
	// account. If your application changes Email itself, it must clear EmailVerified.
	EmailVerified bool `json:"-" xml:"-" form:"-" schema:"-"`

	// PasswordHash is what HashPassword or WrapHash returned (at most 400 bytes), or a
	// hash from another library (docs/passwords.md). If it is empty, the account has no
	// password, and every password is wrong. ForceReset puts $reset$ before the hash.
	PasswordHash Secret `json:"-" xml:"-" form:"-" schema:"-"`

	// Stamp is a random text of at most 255 bytes. Every change of a credential
	// replaces it. A login is valid while the account has the Stamp that the login was
	// made with. So a new Stamp ends every login and makes every mailed token void that
	// is bound to the Stamp.
	Stamp Secret `json:"-" xml:"-" form:"-" schema:"-"`

	// Disabled accounts cannot log in, and a login that exists ends with its next
	// request. Core.Disable and Core.Enable set this field. If your application
	// sets it itself, it must set a new Stamp, too. Otherwise a login that made no
	// request meanwhile goes on when the account is enabled again.
	Disabled bool `json:"-" xml:"-" form:"-" schema:"-"`

	// Roles are the names of the user's roles. Core.SetRoles changes them, and Config.Roles
	// says what they allow.
	Roles []string `json:"-" xml:"-" form:"-" schema:"-"`

	// Version counts the changes of the account. UpdateAccount compares it. If your
	// application changes accounts with statements of its own, it must increment
	// Version. Otherwise a concurrent UpdateAccount overwrites the change.
	Version int64 `json:"-" xml:"-" form:"-" schema:"-"`
}

// AuthAccount makes every type that embeds an Account a [User].
func (a *Account) AuthAccount() *Account { return a }

// Clone returns a copy that shares no memory with a.
func (a Account) Clone() Account {
	a.Roles = slices.Clone(a.Roles)
	return a
}

// A UserLoader finds users by their account's ID. It is all that sessions,
// guards and the current user need; see [NewWithLoader].
type UserLoader[U User] interface {
	// LoadUser returns the user whose account has this ID, or ErrUserNotFound. That
	// includes an ID that the store could not have made, such as a text where IDs are
	// numbers. Any other error is a failure of the store: the request is answered 503.
	//
	// ErrUserNotFound means that the user was deleted: what the library keeps about the user,
	// such as an identity at a provider, may be deleted, too. To keep a user out, set
	// Account.Disabled. A nil user without an error counts as ErrUserNotFound.
	LoadUser(ctx context.Context, id string) (U, error)
}

// A LoaderFunc is a function that serves as a [UserLoader].
type LoaderFunc[U User] func(ctx context.Context, id string) (U, error)

// LoadUser calls f.
func (f LoaderFunc[U]) LoadUser(ctx context.Context, id string) (U, error) { return f(ctx, id) }

// A UserStore keeps your application's users. Package storetest checks an
// implementation; its subtests are this contract in detail.
//
// All methods may be called by many goroutines at once, and by several processes if the
// store is shared. Each is atomic: its effect is whole or absent. A call whose context
// is done returns the context's error and does nothing. After any error that is not
// named here, such as a lost connection, the operation may or may not have happened. If
// the error of LoadUser or FindUser says that a connection was closed, the library
// calls the method a second time. Such errors are driver.ErrBadConn, net.ErrClosed,
// io.EOF, and a connection reset by the other side.
type UserStore[U User] interface {
	UserLoader[U]

	// FindUser returns the user with this canonical username or e-mail address (see
	// UsernameKey and EmailKey), or ErrUserNotFound. A key with an @ is an address: no
	// username contains one.
	FindUser(ctx context.Context, key string) (U, error)

	// CreateUser saves a new account and returns its user as it is saved. The library
	// compares the user with a, and reads it back. If a has no ID, the store sets it.
	// Everything else is stored as given. An ID that is in use is an error. form has
	// the other fields of the registration; it may be nil.
	//
	// If concurrent calls have usernames with the same UsernameKey, exactly one
	// succeeds and the others return ErrUsernameTaken. The same holds for EmailKey and
	// ErrEmailTaken. An empty username or address collides with nothing. If a username
	// or address has no canonical form, CreateUser returns ErrInvalidUsername or
	// ErrInvalidEmail.
	//
	// If you set Config.HideAccounts, an attacker must not learn from Register whether
	// an address is taken. So check the form before you check whether a name is taken.
	// A call that fails because a name is taken should also run as many statements as
	// one that succeeds.
	CreateUser(ctx context.Context, a Account, form url.Values) (U, error)

	// UpdateAccount replaces the account's fields and stores Version+1, if the stored
	// Version is a.Version. Otherwise it changes nothing and returns ErrConflict. For
	// an unknown ID it returns ErrUserNotFound. For a username or address that the
	// account cannot have, it returns the errors of CreateUser. It changes nothing that
	// is not in Account.
	//
	// A username or address that does not change keeps its key and is not checked. It
	// may be older than the rules of UsernameKey and EmailKey, and its user must still
	// be able to log in.
	UpdateAccount(ctx context.Context, a Account) error
}

// A UserDeleter is a [UserStore] that can delete accounts. CloseAccount uses it. If the
// store has no DeleteUser, CloseAccount empties and disables the account.
type UserDeleter interface {
	// DeleteUser deletes the user with this ID, or returns ErrUserNotFound. Afterwards
	// another user can have the username and the address. The ID is never given out a
	// second time. DeleteUser need not delete the user's records; the library does.
	DeleteUser(ctx context.Context, id string) error
}

// A UserLister is a [UserStore] that can list its users: see Manager.ListUsers.
type UserLister[U User] interface {
	// ListUsers returns the users whose IDs come after this one, in the store's order of
	// IDs, and at most limit. The order never changes. after is empty for the first users.
	// A user who exists all the time is found exactly once by calls that each continue
	// after the last user of the one before, even if others are created and deleted
	// meanwhile. It need not be an ID of a user who still exists, nor one that the store
	// could have made. A page costs the same, however many users there are.
	ListUsers(ctx context.Context, after string, limit int) ([]U, error)
}

// An AccountField is a field of [Account] that a user store may leave out.
type AccountField string

// The fields that a user store may leave out. It must keep ID, Stamp and Version.
const (
	FieldUsername      AccountField = "Username"
	FieldEmail         AccountField = "Email"
	FieldEmailVerified AccountField = "EmailVerified"
	FieldPasswordHash  AccountField = "PasswordHash"
	FieldDisabled      AccountField = "Disabled"
	FieldRoles         AccountField = "Roles"
)

// A FieldOmitter is a [UserStore] whose table has no column for some fields of
// [Account]. It ignores those fields. [New] and package storetest ask which ones. If a
// setting of Config needs a field that is left out, New returns an error. If a field is
// left out, this changes:
//
//   - Username: users log in with their addresses, and Register refuses a username.
//   - Email: users log in with their usernames, and Register refuses an address. There
//     can be no Mailer, and EmailVerified is left out as well.
//   - EmailVerified: SendVerification, VerifyEmail and RequireVerified return an error.
//   - PasswordHash: every method that sets, resets or checks a password returns an error.
//   - Disabled: Disable and Enable return an error. So does CloseAccount if the store is
//     not a UserDeleter.
//   - Roles: no account has any.
//
// A store must keep Username or Email.
type FieldOmitter interface {
	// OmittedFields returns the fields that are left out. It always returns the same
	// ones.
	OmittedFields() []AccountField
}

// A Record is something that the library must remember: a session, a factor, a counter.
// A store need not understand it.
type Record struct {
	// Kind and Key name the record; a key is unique in its kind. The library hashes
	// secrets before it uses them as keys. Both are compared byte by byte.
	Kind string
	Key  string

	// UserID is the account that the record belongs to, or empty. It never changes, and
	// is compared byte by byte.
	UserID string

	// Data is opaque and may be empty. Protect it like the users' table: it contains
	// Stamps and the application's session data. Tokens are in it only as hashes.
	//
	// Nobody writes to the bytes of Data: neither the library, once a store has them, nor
	// a store, once it has returned them. So a store in memory needs no copies.
	Data []byte

	// Version counts the changes of the record. A new record starts at a random
	// number. So a record that was deleted and inserted again is not mistaken for an
	// unchanged one.
	Version int64

	// Expires is when the record ceases to exist: at that instant it is gone. Zero
	// means never. Stores keep it at least to the microsecond.
	Expires time.Time
}

// Expired reports whether the record has ceased to exist at now.
func (r Record) Expired(now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires)
}

// A RecordStore keeps [Record] values. Package storetest checks an implementation; its
// subtests are this contract in detail.
//
// All methods may be called by many goroutines at once. Each is atomic: its effect is
// whole or absent, and visible to every other process when it returns. A call whose
// context is done returns the context's error and does nothing. After any error that is
// not named here, the operation may or may not have happened. If the error of GetRecord
// or ListRecords says that a connection was closed, the library calls the method a
// second time, as with UserStore. It never repeats the other methods.
//
// An expired record behaves like one that does not exist. The store decides when to
// remove it. An empty Kind or Key is ErrInvalidRecord.
//
// A method must not use Core.SessionData with its context. The library may be
// storing that very session data: the method would then wait for itself.
type RecordStore interface {
	// InsertRecord stores r as it is given. If an unexpired record with that kind and
	// key exists, it returns ErrRecordExists.
	InsertRecord(ctx context.Context, r Record) error

	// GetRecord returns the record, or ErrRecordNotFound.
	GetRecord(ctx context.Context, kind, key string) (Record, error)

	// UpdateRecord replaces Data and Expires and stores Version+1, if the stored
	// Version is r.Version. Otherwise it returns ErrConflict. If the record is gone, it
	// returns ErrRecordNotFound. It never creates a record, and never changes a
	// record's UserID.
	UpdateRecord(ctx context.Context, r Record) error

	// TakeRecord returns the record and deletes it. Of concurrent calls, exactly one
	// gets the record and the others get ErrRecordNotFound.
	TakeRecord(ctx context.Context, kind, key string) (Record, error)

	// ListRecords returns a user's records of a kind, in no particular order. An empty
	// userID is ErrInvalidRecord; it never means all users.
	ListRecords(ctx context.Context, kind, userID string) ([]Record, error)

	// DeleteRecords deletes a user's records of a kind, except those whose keys are in
	// keep. An empty userID is ErrInvalidRecord. DeleteRecords need not be one step: if
	// it fails, some records may be gone and the others unchanged.
	DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error
}

// A StoreChecker is a store that can check its own setup: its options and the user
// type, without a query to a database. [New] and [NewWithLoader] call CheckStore on the
// user store, Config.Records and Config.SessionStore, and return its error.
type StoreChecker interface {
	CheckStore() error
}

// checkStores returns the first error of a StoreChecker among the stores.
func checkStores(stores ...any) error {
	for _, store := range stores {
		if checker, ok := store.(StoreChecker); ok && !isNil(store) {
			if err := checker.CheckStore(); err != nil {
				return err
			}
		}
	}
	return nil
}
