package memstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"github.com/go-login/auth"
)

// A Store keeps users of type *T, and records. [New] makes one.
//
// P is always *T; the compiler infers it.
type Store[T any, P interface {
	*T
	auth.User
}] struct {
	*Records

	mu    sync.RWMutex
	users map[string]saved[P] // by ID
	ids   map[string]string   // by UsernameKey and EmailKey, which never collide: only an EmailKey contains an @

	order []string // IDs, sorted, for ListUsers; some may have been deleted
	fresh []string // IDs that are not in order yet; some may have been deleted
}

// A saved user is replaced, never written to, so that it can be copied without
// the lock.
type saved[P any] struct {
	user  P
	names names
}

// New returns an empty store of users of type *T. Their AuthAccount method must
// return a pointer into the T itself, as it does when T embeds [auth.Account].
func New[T any, P interface {
	*T
	auth.User
}](options ...Option) *Store[T, P] {
	return &Store[T, P]{
		Records: NewRecords(options...),
		users:   map[string]saved[P]{},
		ids:     map[string]string{},
	}
}

// LoadUser implements [auth.UserLoader].
func (s *Store[T, P]) LoadUser(ctx context.Context, id string) (P, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	user := s.users[id].user
	s.mu.RUnlock()
	if user == nil {
		return nil, auth.ErrUserNotFound
	}
	return clone[T](user), nil
}

// FindUser implements [auth.UserStore].
func (s *Store[T, P]) FindUser(ctx context.Context, key string) (P, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	var user P
	if id, ok := s.ids[key]; ok {
		user = s.users[id].user
	}
	s.mu.RUnlock()
	if user == nil {
		return nil, auth.ErrUserNotFound
	}
	return clone[T](user), nil
}

// CreateUser implements [auth.UserStore]. If P is an [auth.FormReader],
// CreateUser sets the account first and then calls ReadForm with the form, or
// with an empty form for nil. Changes that ReadForm makes to the account are
// dropped.
//
// If the account has no ID, CreateUser makes a random one, which is never made
// twice. If it has an ID, that ID must not be in use. The caller must make sure
// that no deleted user had it.
func (s *Store[T, P]) CreateUser(ctx context.Context, a auth.Account, form url.Values) (P, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	names, err := namesOf(a)
	if err != nil {
		return nil, err
	}
	if a.ID == "" {
		a.ID = rand.Text()
	}
	user := P(new(T))
	if err := place[T](user, a); err != nil {
		return nil, err
	}
	if reader, ok := any(user).(auth.FormReader); ok {
		if form == nil {
			form = url.Values{}
		}
		if err := reader.ReadForm(form); err != nil {
			return nil, err
		}
		if err := place[T](user, a); err != nil {
			return nil, err
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if _, exists := s.users[a.ID]; exists {
		return nil, fmt.Errorf("memstore: CreateUser: another user has the ID %q; pass an unused ID, or none", a.ID)
	}
	if err := s.free(names, a.ID); err != nil {
		return nil, err
	}
	s.put(a.ID, user, names)
	s.fresh = append(s.fresh, a.ID)
	if len(s.order)+len(s.fresh) > 2*len(s.users)+100 { // most of them have been deleted
		s.sortIn()
	}
	return clone[T](user), nil
}

// IgnoresForm implements [auth.FormIgnorer]: CreateUser ignores its form if P is not an
// [auth.FormReader].
func (s *Store[T, P]) IgnoresForm() bool {
	_, reads := any(P(nil)).(auth.FormReader)
	return !reads
}

// UpdateAccount implements [auth.UserStore].
func (s *Store[T, P]) UpdateAccount(ctx context.Context, a auth.Account) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.unchanged(a.ID, a.Version)
	if err != nil {
		return err
	}
	names, err := changedNames(old.user.AuthAccount(), old.names, a)
	if err != nil {
		return err
	}
	if err := s.free(names, a.ID); err != nil {
		return err
	}
	a.Version++
	user := P(new(T))
	*user = *old.user
	if err := place[T](user, a); err != nil {
		return err
	}
	s.unindex(old.names)
	s.put(a.ID, user, names)
	return nil
}

// UpdateProfile saves the application's own fields of the user, and increments
// the stored Version. If the stored Version is not the user's, it changes
// nothing and returns [auth.ErrConflict]. If there is no such user, it returns
// [auth.ErrUserNotFound]. It ignores changes of the account, and does not write
// to user: to change the user again, load it again.
func (s *Store[T, P]) UpdateProfile(ctx context.Context, user P) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	given := user.AuthAccount()

	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.unchanged(given.ID, given.Version)
	if err != nil {
		return err
	}
	a := *old.user.AuthAccount()
	a.Version++
	next := P(new(T))
	*next = *user
	if err := place[T](next, a); err != nil {
		return err
	}
	s.put(a.ID, next, old.names)
	return nil
}

// DeleteUser implements [auth.UserDeleter].
func (s *Store[T, P]) DeleteUser(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.users[id]
	if !ok {
		return auth.ErrUserNotFound
	}
	s.unindex(old.names)
	delete(s.users, id)
	return nil
}

// ListUsers implements [auth.UserLister]. IDs are ordered byte by byte. The first call after
// users were created sorts them in.
func (s *Store[T, P]) ListUsers(ctx context.Context, after string, limit int) ([]P, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fresh) > 0 {
		s.sortIn()
	}
	from, found := slices.BinarySearch(s.order, after)
	if found {
		from++
	}
	var page []P
	for _, id := range s.order[from:] {
		if len(page) >= limit {
			break
		}
		if user := s.users[id].user; user != nil {
			page = append(page, clone[T](user))
		}
	}
	return page, nil
}

// sortIn sorts the fresh IDs into order, and removes those of deleted users. The caller holds
// mu.
func (s *Store[T, P]) sortIn() {
	s.order = slices.DeleteFunc(append(s.order, s.fresh...), func(id string) bool { return s.users[id].user == nil })
	slices.Sort(s.order)
	s.order, s.fresh = slices.Compact(s.order), nil
}

// unchanged returns the stored user if its account has this Version.
func (s *Store[T, P]) unchanged(id string, version int64) (saved[P], error) {
	old, ok := s.users[id]
	switch {
	case !ok:
		return old, auth.ErrUserNotFound
	case old.user.AuthAccount().Version != version:
		return old, auth.ErrConflict
	}
	return old, nil
}

// names are the keys by which FindUser finds an account. A key is empty if the
// account does not have that name.
type names struct{ username, email string }

func namesOf(a auth.Account) (n names, err error) {
	username, email, err := auth.AccountKeys(a)
	if err != nil {
		return names{}, err
	}
	if username != nil {
		n.username = *username
	}
	if email != nil {
		n.email = *email
	}
	return n, nil
}

// changedNames returns the keys for the changed account a, which was stored as
// was with the keys had. A name that has not changed keeps its key, because it
// may be older than the rules for names.
func changedNames(was *auth.Account, had names, a auth.Account) (n names, err error) {
	sameName, sameEmail := a.Username == was.Username, a.Email == was.Email
	if sameName {
		a.Username = ""
	}
	if sameEmail {
		a.Email = ""
	}
	if n, err = namesOf(a); err != nil {
		return names{}, err
	}
	if sameName {
		n.username = had.username
	}
	if sameEmail {
		n.email = had.email
	}
	return n, nil
}

// free returns nil if no other account than this one has the names.
func (s *Store[T, P]) free(n names, id string) error {
	if owner, taken := s.ids[n.username]; taken && owner != id {
		return auth.ErrUsernameTaken
	}
	if owner, taken := s.ids[n.email]; taken && owner != id {
		return auth.ErrEmailTaken
	}
	return nil
}

// put stores a user and indexes its names. The empty name is never in the
// index.
func (s *Store[T, P]) put(id string, user P, n names) {
	s.users[id] = saved[P]{user, n}
	if n.username != "" {
		s.ids[n.username] = id
	}
	if n.email != "" {
		s.ids[n.email] = id
	}
}

func (s *Store[T, P]) unindex(n names) {
	delete(s.ids, n.username)
	delete(s.ids, n.email)
}

// clone returns a copy of a user whose account the store has set.
func clone[T any, P interface {
	*T
	auth.User
}](user P) P {
	c := P(new(T))
	*c = *user
	a := c.AuthAccount()
	*a = a.Clone()
	return c
}

// place makes a copy of a the account of user.
func place[T any, P interface {
	*T
	auth.User
}](user P, a auth.Account) error {
	other := P(new(T))
	*other = *user
	own := user.AuthAccount()
	if own == nil || own != user.AuthAccount() || own == other.AuthAccount() {
		return errors.New("memstore: AuthAccount must return a pointer to a field of the user; embed auth.Account in the user type")
	}
	*own = a.Clone()
	return nil
}
