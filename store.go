package auth

import (
	"context"
	"net/url"
	"slices"
	"time"
)

// A User is any type of the application's that can say which account it is.
// A struct that embeds Account is one, through its pointer:
//
//	type User struct {
//		auth.Account
//		Name string
//	}
//
// The library never writes through the pointer that AuthAccount returns, and
// never keeps it beyond the request.
type User interface {
	AuthAccount() *Account
}

// A FormReader is a [User] with fields of its own that come from the
// registration form. It is the store that calls ReadForm, on the new user and
// before it saves it; its error is the error of CreateUser, and nothing is
// saved. memstore and sqlstore do; a store of one's own must, if its users are
// such.
type FormReader interface {
	ReadForm(form url.Values) error
}

// An Account is what the library must know about a user.
//
// Its texts are valid UTF-8 without NUL; a store may refuse others. It has no
// String, LogValue or MarshalJSON method, because embedding would promote it to
// the application's type; its secrets are of type [Secret] and look after
// themselves.
//
// A client must not set these fields: an ID that came with a request would change
// another user, and Roles would make an administrator. So encoding/json and
// encoding/xml neither read nor write them, and popular decoders of forms
// (gorilla/schema, go-playground/form, gin) do not read them. Other decoders know
// other tags (encoding/gob has none): decode what a client sends into a type that
// has only the fields of that form. A store that keeps users as JSON uses
// [StoredAccount].
type Account struct {
	// ID names the account for ever. It is opaque to the library; the store
	// sets it in CreateUser when it is empty. It is never reused, not even
	// after the account is deleted.
	ID string `json:"-" xml:"-" form:"-" schema:"-"`

	// Username and Email are what the user typed. They are compared in their
	// canonical forms (UsernameKey, EmailKey); mail goes to Email as it stands
	// here. Either may be empty.
	Username string `json:"-" xml:"-" form:"-" schema:"-"`
	Email    string `json:"-" xml:"-" form:"-" schema:"-"`

	// EmailVerified says that the owner of the mailbox Email has proved to be
	// the owner of the account. An application that changes Email itself must
	// clear it.
	EmailVerified bool `json:"-" xml:"-" form:"-" schema:"-"`

	// PasswordHash is what HashPassword or WrapHash has returned, of at most
	// 400 bytes, or a hash from elsewhere (docs/passwords.md). It is empty for
	// an account that has no password, which no password then opens.
	PasswordHash Secret `json:"-" xml:"-" form:"-" schema:"-"`

	// Stamp is a random text, of at most 255 bytes, that changes with every credential. A login is
	// good for as long as the Stamp it was made with is the account's: setting
	// a new one ends every login and voids every mailed token that is bound to
	// it.
	Stamp Secret `json:"-" xml:"-" form:"-" schema:"-"`

	// Disabled accounts cannot log in, and the logins they have end with
	// their next request. Manager.Disable and Manager.Enable set it. An application
	// that sets it itself must set a new Stamp with it: else logins that made no
	// request meanwhile go on when the account is enabled again.
	Disabled bool `json:"-" xml:"-" form:"-" schema:"-"`

	Roles []string `json:"-" xml:"-" form:"-" schema:"-"`

	// Version counts the changes of the account. UpdateAccount goes by it. An
	// application that changes accounts with statements of its own must count
	// it up, or a concurrent UpdateAccount undoes the change.
	Version int64 `json:"-" xml:"-" form:"-" schema:"-"`
}

// AuthAccount makes every type that embeds an Account a [User].
func (a *Account) AuthAccount() *Account { return a }

// Clone returns a copy that shares nothing with a.
func (a Account) Clone() Account {
	a.Roles = slices.Clone(a.Roles)
	return a
}

// A UserLoader finds users by their account's ID. It is all that sessions,
// guards and the current user need; see [NewWithLoader].
type UserLoader[U User] interface {
	// LoadUser returns the user whose account has this ID, or ErrUserNotFound.
	// An ID that the store could not have given out is one that is not found.
	// Any other error is a failure of the store: the request is answered 503.
	LoadUser(ctx context.Context, id string) (U, error)
}

// LoaderFunc makes a [UserLoader] of a function.
type LoaderFunc[U User] func(ctx context.Context, id string) (U, error)

// LoadUser calls f.
func (f LoaderFunc[U]) LoadUser(ctx context.Context, id string) (U, error) { return f(ctx, id) }

// A UserStore keeps the application's users. Package storetest checks an
// implementation; its subtests are this contract in detail.
//
// All methods may be called by many goroutines at once, and by several
// processes where the store is shared. Each is atomic: its effect is whole or
// absent. A call whose context is done returns its error and does nothing. After
// an error that is not among those named here (a connection lost, a context
// cancelled midway) the caller does not know which. LoadUser and FindUser are called
// a second time if their error says that a connection was closed: driver.ErrBadConn,
// net.ErrClosed, io.EOF, a connection reset by the other side.
type UserStore[U User] interface {
	UserLoader[U]

	// FindUser returns the user with this canonical username or address (see
	// UsernameKey and EmailKey), or ErrUserNotFound. A key with an @ in it is
	// an address, since no username has one.
	FindUser(ctx context.Context, key string) (U, error)

	// CreateUser saves a new account and returns its user as it is saved: the
	// library compares it with a, and reads it back. The store sets the
	// ID when a has none, and stores everything else as given; an ID that is in
	// use is an error. form has the other fields of the registration; it may be
	// nil.
	//
	// Of any number of concurrent calls whose usernames have one UsernameKey,
	// one succeeds and the others return ErrUsernameTaken; likewise for
	// EmailKey and ErrEmailTaken. An empty username or address collides with
	// nothing. A username or address without a canonical form is refused with
	// ErrInvalidUsername or ErrInvalidEmail. Look for errors in
	// the form before you look for a name that is taken: otherwise Register with
	// Config.HideAccounts tells whose address is taken. For the same reason, a call that
	// fails because a name is taken should run as many statements as one that succeeds.
	CreateUser(ctx context.Context, a Account, form url.Values) (U, error)

	// UpdateAccount replaces the account's fields, if the stored Version is
	// a.Version, and stores Version+1. If it is not, it changes nothing and
	// returns ErrConflict. It returns ErrUserNotFound for an unknown ID, and
	// the errors of CreateUser for a username or address that it cannot have. One
	// that does not change keeps its key and is not checked: it may be older than
	// the rules of UsernameKey and EmailKey, and its user must not be locked out.
	// It leaves alone what is not in Account.
	UpdateAccount(ctx context.Context, a Account) error
}

// A UserDeleter is a [UserStore] that can delete accounts. CloseAccount asks for
// it; where it is missing, accounts are emptied and disabled.
type UserDeleter interface {
	// DeleteUser deletes the user with this ID, or returns ErrUserNotFound. The
	// username and the address are free again; the ID is never given out a second
	// time. Records of the user are not its affair.
	DeleteUser(ctx context.Context, id string) error
}

// An AccountField is a field of [Account] that a user store may leave out.
type AccountField string

// The fields that a user store may leave out. ID, Stamp and Version cannot be.
const (
	FieldUsername      AccountField = "Username"
	FieldEmail         AccountField = "Email"
	FieldEmailVerified AccountField = "EmailVerified"
	FieldPasswordHash  AccountField = "PasswordHash"
	FieldDisabled      AccountField = "Disabled"
	FieldRoles         AccountField = "Roles"
)

// A FieldOmitter is a [UserStore] whose table has no place for some fields of
// [Account], which it then ignores. [New] and package storetest ask which. A
// setting of Config that needs such a field is an error from New. Without
//
//   - Username, people log in with their addresses, and Register refuses a
//     username;
//   - Email, people log in with their usernames, Register refuses an address,
//     there can be no Mailer, and EmailVerified is left out as well;
//   - EmailVerified, SendVerification, VerifyEmail and RequireVerified return
//     an error;
//   - PasswordHash, whatever sets, resets or checks a password returns an error;
//   - Disabled, Disable and Enable return an error, and so does CloseAccount if the
//     store is no UserDeleter;
//   - Roles, no account has any.
//
// Username and Email cannot both be left out.
type FieldOmitter interface {
	// OmittedFields returns the fields that are left out. It always returns the
	// same ones.
	OmittedFields() []AccountField
}

// A Record is something that the library must remember: a session, a factor,
// a counter. Stores need not understand it.
type Record struct {
	// Kind and Key name the record; a key is unique in its kind. Secrets
	// arrive here hashed. Both are compared byte by byte.
	Kind string
	Key  string

	// UserID is the account that the record belongs to, or empty. It never
	// changes, and is compared byte by byte.
	UserID string

	// Data is opaque, may be empty, and is sealed where it is secret.
	Data []byte

	// Version counts the changes of the record. A new one starts at a random
	// number, so that a record deleted and inserted again is not mistaken for
	// an unchanged one.
	Version int64

	// Expires is when the record ceases to exist: at that instant it is gone.
	// Zero means never. Stores keep it at least to the microsecond.
	Expires time.Time
}

// Expired reports whether the record has ceased to exist at now.
func (r Record) Expired(now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires)
}

// A RecordStore keeps [Record] values. Package storetest checks an
// implementation; its subtests are this contract in detail.
//
// Each method is atomic: its effect is whole or absent, and visible to every
// other process when it returns. A call whose context is done returns its error
// and does nothing. After an error that is not among those named here the caller
// does not know which. GetRecord and ListRecords are called a second time if their
// error says that a connection was closed, as with UserStore; the other methods
// never are. All methods may be called by many goroutines at once. A record that
// has expired behaves as one that is not there; removing it is the store's own
// affair. An empty Kind or Key is ErrInvalidRecord. A method
// must not use Manager.SessionData with its context, whose data may be what is being
// stored: it would wait for itself.
type RecordStore interface {
	// InsertRecord stores r as it is given, or returns ErrRecordExists if
	// there is one of that kind and key that has not expired.
	InsertRecord(ctx context.Context, r Record) error

	// GetRecord returns ErrRecordNotFound if there is none.
	GetRecord(ctx context.Context, kind, key string) (Record, error)

	// UpdateRecord replaces Data and Expires, if the stored Version is
	// r.Version, and stores Version+1. If it is not, it returns ErrConflict; if
	// the record is gone, ErrRecordNotFound. It never creates a record, and
	// never changes its UserID.
	UpdateRecord(ctx context.Context, r Record) error

	// TakeRecord returns the record and deletes it. Of any number of
	// concurrent calls one gets it and the others ErrRecordNotFound.
	TakeRecord(ctx context.Context, kind, key string) (Record, error)

	// ListRecords returns a user's records of a kind, in no particular order.
	// An empty userID is ErrInvalidRecord, and never "everybody's".
	ListRecords(ctx context.Context, kind, userID string) ([]Record, error)

	// DeleteRecords deletes a user's records of a kind, but for those whose
	// keys are in keep. An empty userID is ErrInvalidRecord. It need not be one
	// step: if it fails, some of the records may be gone, each of them wholly.
	DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error
}

// A StoreChecker is a store that can tell whether it was set up as it must be:
// by its options and the user type, without asking a database. [New] and
// [NewWithLoader] ask the user store, Config.Records and Config.SessionStore, and return
// the error.
type StoreChecker interface {
	CheckStore() error
}

// checkStores returns the first error of those stores that are a StoreChecker.
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
