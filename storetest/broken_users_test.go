package storetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/storetest"
)

// users is a correct store. A test can replace each of its verbs.
type users struct {
	load   func(ctx context.Context, id string) (*storetest.User, error)
	find   func(ctx context.Context, key string) (*storetest.User, error)
	create func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error)
	update func(ctx context.Context, a auth.Account) error
	remove func(ctx context.Context, id string) error
	list   func(ctx context.Context, after string, limit int) ([]*storetest.User, error)

	racing bool    // whether the subtest runs that must catch it
	client *client // of the server, if the store has one
}

func rightUsers() *users {
	s := memstore.New[storetest.User]()
	return &users{load: s.LoadUser, find: s.FindUser, create: s.CreateUser, update: s.UpdateAccount, remove: s.DeleteUser, list: s.ListUsers}
}

func (s *users) LoadUser(ctx context.Context, id string) (*storetest.User, error) {
	return s.load(ctx, id)
}

func (s *users) FindUser(ctx context.Context, key string) (*storetest.User, error) {
	return s.find(ctx, key)
}

func (s *users) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
	return s.create(ctx, a, form)
}

func (s *users) UpdateAccount(ctx context.Context, a auth.Account) error { return s.update(ctx, a) }
func (s *users) DeleteUser(ctx context.Context, id string) error         { return s.remove(ctx, id) }

func (s *users) ListUsers(ctx context.Context, after string, limit int) ([]*storetest.User, error) {
	return s.list(ctx, after, limit)
}

// elsewhere returns a user that the correct store has refused, as if saved in a
// second row.
func elsewhere(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
	return memstore.New[storetest.User]().CreateUser(ctx, a, form)
}

// key returns the canonical form of a name, or "".
func key(name string) string {
	key, err := auth.UsernameKey(name)
	if strings.Contains(name, "@") {
		key, err = auth.EmailKey(name)
	}
	if err != nil {
		return ""
	}
	return key
}

// seen changes every user before it is returned.
func (s *users) seen(change func(u *storetest.User)) {
	load, find := s.load, s.find
	s.load = func(ctx context.Context, id string) (*storetest.User, error) {
		u, err := load(ctx, id)
		if err == nil {
			change(u)
		}
		return u, err
	}
	s.find = func(ctx context.Context, key string) (*storetest.User, error) {
		u, err := find(ctx, key)
		if err == nil {
			change(u)
		}
		return u, err
	}
}

// given changes every new account before it is stored.
func (s *users) given(change func(a *auth.Account)) {
	create := s.create
	s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
		a = a.Clone()
		change(&a)
		return create(ctx, a, form)
	}
}

// compares makes the store compare names by a form of its own. If the correct
// store refuses a name as taken but no other name has that form, the account is
// saved.
func (s *users) compares(taken error, form func(a auth.Account) string) {
	var names memory[bool]
	create := s.create
	s.create = func(ctx context.Context, a auth.Account, values url.Values) (*storetest.User, error) {
		u, err := create(ctx, a, values)
		if errors.Is(err, taken) && !names.has(form(a)) {
			u, err = elsewhere(ctx, a, values)
		}
		if err == nil {
			names.put(form(a), true)
		}
		return u, err
	}
}

type userBreakage struct {
	name   string
	caught string
	bend   func(s *users)
}

func brokenUsers() []userBreakage {
	return []userBreakage{
		{"lists the first page again and again", "ListUsers/finds every user once, as they are saved", func(s *users) {
			list := s.list
			s.list = func(ctx context.Context, _ string, limit int) ([]*storetest.User, error) { return list(ctx, "", limit) }
		}},
		{"lists more users than it was asked for", "ListUsers/finds every user once, as they are saved", func(s *users) {
			list := s.list
			s.list = func(ctx context.Context, after string, limit int) ([]*storetest.User, error) {
				return list(ctx, after, limit+1)
			}
		}},
		{"leaves out the first user of each page", "ListUsers/finds every user once, as they are saved", func(s *users) {
			list := s.list
			s.list = func(ctx context.Context, after string, limit int) ([]*storetest.User, error) {
				page, err := list(ctx, after, limit+1)
				return page[min(1, len(page)):], err
			}
		}},
		{"lists users without their roles", "ListUsers/finds every user once, as they are saved", func(s *users) {
			list := s.list
			s.list = func(ctx context.Context, after string, limit int) ([]*storetest.User, error) {
				page, err := list(ctx, after, limit)
				for _, u := range page {
					u.Roles = nil
				}
				return page, err
			}
		}},
		{"skips as many rows as it has listed", "ListUsers/goes on while users come and go", func(s *users) {
			var listed memory[int]
			list := s.list
			s.list = func(ctx context.Context, after string, limit int) ([]*storetest.User, error) {
				n, _ := listed.get(after)
				page, err := list(ctx, "", n+limit)
				page = page[min(n, len(page)):]
				if len(page) > 0 {
					listed.put(page[len(page)-1].ID, n+len(page))
				}
				return page, err
			}
		}},
		{"finds no page after a user who is gone", "ListUsers/goes on while users come and go", func(s *users) {
			list := s.list
			s.list = func(ctx context.Context, after string, limit int) ([]*storetest.User, error) {
				if _, err := s.load(ctx, after); err != nil && after != "" {
					return nil, nil
				}
				return list(ctx, after, limit)
			}
		}},
		{"fails after an ID that it could not have made", "ListUsers/after an ID that no user has is no error", func(s *users) {
			list := s.list
			s.list = func(ctx context.Context, after string, limit int) ([]*storetest.User, error) {
				if _, err := s.load(ctx, after); err != nil && after != "" {
					return nil, err
				}
				return list(ctx, after, limit)
			}
		}},
		{beginners, "CreateUser/of 50 racers with one username, one wins", (&beginner{}).stand},
		{"looks the username up, then inserts", "CreateUser/of 50 racers with one username, one wins", func(s *users) {
			window := together(s.racing)
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if _, err := s.find(ctx, key(a.Username)); err == nil {
					return nil, auth.ErrUsernameTaken
				}
				window()
				u, err := create(ctx, a, form)
				if errors.Is(err, auth.ErrUsernameTaken) {
					return elsewhere(ctx, a, form)
				}
				return u, err
			}
		}},
		{"looks the address up, then inserts", "CreateUser/of 50 racers with one address, one wins", func(s *users) {
			window := together(s.racing)
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if _, err := s.find(ctx, key(a.Email)); err == nil && a.Email != "" {
					return nil, auth.ErrEmailTaken
				}
				window()
				u, err := create(ctx, a, form)
				if errors.Is(err, auth.ErrEmailTaken) {
					return elsewhere(ctx, a, form)
				}
				return u, err
			}
		}},
		{"leaves the username reserved after it refuses the address", "CreateUser/refuses an address that is taken", func(s *users) {
			var reserved memory[bool]
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if reserved.has(key(a.Username)) {
					return nil, auth.ErrUsernameTaken
				}
				u, err := create(ctx, a, form)
				if errors.Is(err, auth.ErrEmailTaken) && a.Username != "" {
					reserved.put(key(a.Username), true)
				}
				return u, err
			}
		}},
		{"lower-cases usernames", "Names/of one username in other cases, widths and compositions are the same", func(s *users) {
			s.compares(auth.ErrUsernameTaken, func(a auth.Account) string { return strings.ToLower(a.Username) })
		}},
		{"lower-cases addresses", "Names/of one address in other cases and alphabets are the same", func(s *users) {
			s.compares(auth.ErrEmailTaken, func(a auth.Account) string { return strings.ToLower(a.Email) })
		}},
		{"has a collation without accents", "Names/that only look alike are different", func(s *users) {
			bare := strings.NewReplacer("é", "e", "è", "e", "å", "a", "ä", "a", "ö", "o", "ø", "o", "ß", "ss")
			var names memory[bool]
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				name := bare.Replace(key(a.Username))
				if name != "" && names.has(name) {
					return nil, auth.ErrUsernameTaken
				}
				u, err := create(ctx, a, form)
				if err == nil {
					names.put(name, true)
				}
				return u, err
			}
		}},
		{"makes keys canonical in FindUser", "FindUser/takes canonical keys only", func(s *users) {
			find := s.find
			s.find = func(ctx context.Context, name string) (*storetest.User, error) { return find(ctx, key(name)) }
		}},
		{"finds users without a name by the empty key", "FindUser/of the empty key finds nobody", func(s *users) {
			var last memory[string]
			find, create := s.find, s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				u, err := create(ctx, a, form)
				if err == nil && (a.Username == "" || a.Email == "") {
					last.put("ID", u.ID)
				}
				return u, err
			}
			s.find = func(ctx context.Context, key string) (*storetest.User, error) {
				if id, ok := last.get("ID"); ok && key == "" {
					return s.load(ctx, id)
				}
				return find(ctx, key)
			}
		}},
		{"finds by LIKE", "FindUser/of an unknown key", func(s *users) {
			var last memory[string]
			find, create := s.find, s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				u, err := create(ctx, a, form)
				if err == nil {
					last.put("ID", u.ID)
				}
				return u, err
			}
			s.find = func(ctx context.Context, key string) (*storetest.User, error) {
				if id, ok := last.get("ID"); ok && key == "%" {
					return s.load(ctx, id)
				}
				return find(ctx, key)
			}
		}},
		{"returns nil for an unknown user", "LoadUser/of an ID that no store gives out", func(s *users) {
			load := s.load
			s.load = func(ctx context.Context, id string) (*storetest.User, error) {
				u, err := load(ctx, id)
				if errors.Is(err, auth.ErrUserNotFound) {
					return nil, nil
				}
				return u, err
			}
		}},
		{"returns the database's syntax error for a malformed ID", "LoadUser/of an ID that no store gives out", func(s *users) {
			load := s.load
			s.load = func(ctx context.Context, id string) (*storetest.User, error) {
				if strings.Contains(id, "-") {
					return nil, errors.New("invalid input syntax for type uuid")
				}
				return load(ctx, id)
			}
		}},
		{"ignores trailing spaces of IDs", "LoadUser/of an ID that is almost another user's ID", func(s *users) {
			load := s.load
			s.load = func(ctx context.Context, id string) (*storetest.User, error) {
				return load(ctx, strings.TrimRight(id, " "))
			}
		}},
		{"updates without comparing the Version", "UpdateAccount/with a stale Version changes nothing", func(s *users) {
			s.update = overwrite(s)
		}},
		{"reads and compares the Version, then updates", "UpdateAccount/of 50 racers with one Version, one wins", func(s *users) {
			window := together(s.racing)
			blind := overwrite(s)
			s.update = func(ctx context.Context, a auth.Account) error {
				u, err := s.load(ctx, a.ID)
				if err != nil {
					return err
				}
				if u.Version != a.Version {
					return auth.ErrConflict
				}
				window()
				return blind(ctx, a)
			}
		}},
		{"looks the new username up, then updates", "UpdateAccount/of 50 racers who want one username, one wins", func(s *users) {
			window := together(s.racing)
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				if u, err := s.find(ctx, key(a.Username)); err == nil && u.ID != a.ID {
					return auth.ErrUsernameTaken
				}
				window()
				if err := update(ctx, a); !errors.Is(err, auth.ErrUsernameTaken) {
					return err
				}
				return nil
			}
		}},
		{"does not increment the Version", "UpdateAccount/replaces every field and counts the Version up", func(s *users) {
			var updates memory[int64]
			update := s.update
			s.seen(func(u *storetest.User) {
				n, _ := updates.get(u.ID)
				u.Version -= n
			})
			s.update = func(ctx context.Context, a auth.Account) error {
				n, _ := updates.get(a.ID)
				a.Version += n
				err := update(ctx, a)
				if err == nil {
					updates.put(a.ID, n+1)
				}
				return err
			}
		}},
		{"does not increment the Version of an account that stays the same", "UpdateAccount/of the same contents counts the Version up", func(s *users) {
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				if u, err := s.load(ctx, a.ID); err == nil && fmt.Sprint(u.Account) == fmt.Sprint(a) &&
					u.Stamp.Equal(a.Stamp) && u.PasswordHash.Equal(a.PasswordHash) {
					return auth.ErrConflict // MySQL reports that it changed no row
				}
				return update(ctx, a)
			}
		}},
		{"inserts a user that it cannot find", "UpdateAccount/of an unknown ID", func(s *users) {
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				err := update(ctx, a)
				if errors.Is(err, auth.ErrUserNotFound) {
					_, err = s.create(ctx, a, nil)
				}
				return err
			}
		}},
		{"changes the username, then refuses the address", "UpdateAccount/refuses names that are taken and changes nothing", func(s *users) {
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				err := update(ctx, a)
				if errors.Is(err, auth.ErrEmailTaken) {
					if u, e := s.load(ctx, a.ID); e == nil {
						a.Email = u.Email
						_ = update(ctx, a)
					}
				}
				return err
			}
		}},
		{"keeps old usernames reserved", "UpdateAccount/frees the old names", func(s *users) {
			var old memory[bool]
			update, create := s.update, s.create
			s.update = func(ctx context.Context, a auth.Account) error {
				before, loadErr := s.load(ctx, a.ID)
				err := update(ctx, a)
				if err == nil && loadErr == nil && key(before.Username) != key(a.Username) {
					old.put(key(before.Username), true)
				}
				return err
			}
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if a.Username != "" && old.has(key(a.Username)) {
					return nil, auth.ErrUsernameTaken
				}
				return create(ctx, a, form)
			}
		}},
		{"reports the account's own username as taken", "UpdateAccount/can change the letter case of the account's own names", func(s *users) {
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				if u, err := s.find(ctx, key(a.Username)); err == nil && u.Username != a.Username {
					return auth.ErrUsernameTaken
				}
				return update(ctx, a)
			}
		}},
		{"loses Roles", "CreateUser/keeps every field and gives an ID", func(s *users) {
			s.given(func(a *auth.Account) { a.Roles = nil })
		}},
		{"joins Roles with commas", "CreateUser/keeps roles of any text, in their order", func(s *users) {
			s.given(func(a *auth.Account) {
				if len(a.Roles) > 0 {
					a.Roles = strings.Split(strings.Join(a.Roles, ","), ",")
				}
			})
		}},
		{"saves secrets as JSON", "CreateUser/keeps the texts of secrets", func(s *users) {
			s.given(func(a *auth.Account) {
				for _, secret := range []*auth.Secret{&a.PasswordHash, &a.Stamp} {
					var text string
					if data, err := json.Marshal(*secret); err == nil && json.Unmarshal(data, &text) == nil {
						*secret = auth.NewSecret(text)
					}
				}
			})
		}},
		{"saves only the canonical username", "CreateUser/keeps names as they were typed", func(s *users) {
			s.given(func(a *auth.Account) {
				if canonical := key(a.Username); canonical != "" {
					a.Username = canonical
				}
			})
		}},
		{"has name columns of 255 bytes", "CreateUser/keeps the longest names there are", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if len(key(a.Username)) > 255 {
					return nil, errors.New("data too long for column")
				}
				return create(ctx, a, form)
			}
		}},
		{"ignores a given ID", "CreateUser/keeps a given ID", func(s *users) {
			s.given(func(a *auth.Account) { a.ID = "" })
		}},
		{"replaces the user who has the given ID", "CreateUser/refuses an ID that is in use", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if a.ID != "" {
					_ = s.remove(ctx, a.ID)
				}
				return create(ctx, a, form)
			}
		}},
		{"allows one account without an address", "CreateUser/accepts any number of accounts without a username or without an address", func(s *users) {
			var none memory[bool]
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if a.Email == "" && none.has("") {
					return nil, auth.ErrEmailTaken
				}
				u, err := create(ctx, a, form)
				if err == nil && a.Email == "" {
					none.put("", true)
				}
				return u, err
			}
		}},
		{"accepts any text as a username", "CreateUser/refuses an invalid username", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				u, err := create(ctx, a, form)
				if errors.Is(err, auth.ErrInvalidUsername) {
					a.Username = ""
					return create(ctx, a, form)
				}
				return u, err
			}
		}},
		{"accepts any text as an address", "CreateUser/refuses an invalid address", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				u, err := create(ctx, a, form)
				if errors.Is(err, auth.ErrInvalidEmail) {
					a.Email = ""
					return create(ctx, a, form)
				}
				return u, err
			}
		}},
		{"also finds users by their ID", "FindUser/does not look for IDs", func(s *users) {
			find := s.find
			s.find = func(ctx context.Context, key string) (*storetest.User, error) {
				u, err := find(ctx, key)
				if errors.Is(err, auth.ErrUserNotFound) {
					return s.load(ctx, key)
				}
				return u, err
			}
		}},
		{"passes a nil form to ReadForm", "FormReader/gets an empty form for a nil one", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if form == nil {
					return nil, new(storetest.User).ReadForm(form)
				}
				return create(ctx, a, form)
			}
		}},
		{"ignores the form", "FormReader/reads the form of CreateUser", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, _ url.Values) (*storetest.User, error) {
				return create(ctx, a, nil)
			}
		}},
		{"saves the user before it reads the form", "FormReader/that refuses the form leaves nothing behind", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				u, err := create(ctx, a, nil)
				if err != nil || form == nil {
					return u, err
				}
				err = u.ReadForm(form)
				return u, err
			}
		}},
		{"checks for taken names before it reads the form", "FormReader/refuses the form before a taken name is reported", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				for _, name := range []string{a.Username, a.Email} {
					if _, err := s.find(ctx, key(name)); err == nil {
						return create(ctx, a, nil)
					}
				}
				return create(ctx, a, form)
			}
		}},
		{"empties the user's other fields in UpdateAccount", "FormReader/fields are left alone by UpdateAccount", func(s *users) {
			var updated memory[bool]
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				err := update(ctx, a)
				if err == nil {
					updated.put(a.ID, true)
				}
				return err
			}
			s.seen(func(u *storetest.User) {
				if updated.has(u.ID) {
					u.Name = ""
				}
			})
		}},
		{"reuses the IDs of deleted users", "DeleteUser/never reuses an ID", func(s *users) {
			var rows memory[bool]
			create, remove := s.create, s.remove
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if a.ID == "" {
					a.ID = fmt.Sprint(len(rows.all()) + 1) // the highest ID plus one
				}
				u, err := create(ctx, a, form)
				if err == nil {
					rows.put(u.ID, true)
				}
				return u, err
			}
			s.remove = func(ctx context.Context, id string) error {
				rows.drop(id)
				return remove(ctx, id)
			}
		}},
		{"keeps the names of deleted users reserved", "DeleteUser/deletes the user and frees the names", func(s *users) {
			s.remove = func(ctx context.Context, id string) error {
				u, err := s.load(ctx, id)
				if err != nil {
					return err
				}
				u.Disabled = true
				return s.update(ctx, u.Account)
			}
		}},
		{"returns the user it stores, not a copy", "Copies/what LoadUser and FindUser returned may be changed", func(s *users) {
			var kept memory[*storetest.User]
			load := s.load
			s.load = func(ctx context.Context, id string) (*storetest.User, error) {
				if u, ok := kept.get(id); ok {
					return u, nil
				}
				u, err := load(ctx, id)
				if err == nil {
					kept.put(id, u)
				}
				return u, err
			}
		}},
		{"stores the Roles it was given, not a copy", "Copies/what CreateUser was given and returned may be changed", func(s *users) {
			var kept memory[[]string]
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				u, err := create(ctx, a, form)
				if err == nil {
					kept.put(u.ID, a.Roles)
				}
				return u, err
			}
			s.seen(func(u *storetest.User) {
				if roles, ok := kept.get(u.ID); ok && u.Version == 7 {
					u.Roles = roles
				}
			})
		}},
		{"creates with a cancelled context", "Context/cancelled or expired, CreateUser does nothing", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				return create(context.WithoutCancel(ctx), a, form)
			}
		}},
		{"creates the user, then returns the context's error", "Context/cancelled or expired, CreateUser does nothing", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				u, err := create(context.WithoutCancel(ctx), a, form)
				return u, errors.Join(err, ctx.Err())
			}
		}},
		{"updates with a cancelled context", "Context/cancelled or expired, UpdateAccount does nothing", func(s *users) {
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				return update(context.WithoutCancel(ctx), a)
			}
		}},
		{"reports an unknown user if the context is cancelled", "Context/cancelled or expired, LoadUser does nothing", func(s *users) {
			load := s.load
			s.load = func(ctx context.Context, id string) (*storetest.User, error) {
				if ctx.Err() != nil {
					return nil, auth.ErrUserNotFound
				}
				return load(ctx, id)
			}
		}},
		{"looks the new address up, then updates", "UpdateAccount/of 50 racers who want one address, one wins", func(s *users) {
			window := together(s.racing)
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				if u, err := s.find(ctx, key(a.Email)); err == nil && u.ID != a.ID {
					return auth.ErrEmailTaken
				}
				window()
				if err := update(ctx, a); !errors.Is(err, auth.ErrEmailTaken) {
					return err
				}
				return nil
			}
		}},
		{"overwrites changes made since the account was read", "UpdateAccount/loses no count of 10 racers", func(s *users) {
			window := together(s.racing)
			blind := overwrite(s)
			s.update = func(ctx context.Context, a auth.Account) error {
				u, err := s.load(ctx, a.ID)
				if err != nil {
					return err
				}
				if u.Version != a.Version {
					return auth.ErrConflict
				}
				window()
				return blind(ctx, a)
			}
		}},
		{"guards usernames only in CreateUser", "Races/of CreateUser and UpdateAccount for one username, one wins", func(s *users) {
			m := newMeeting(s.racing)
			create, update := s.create, s.update
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (u *storetest.User, err error) {
				if strings.HasPrefix(a.Username, "racer") { // before the race
					return create(ctx, a, form)
				}
				m.meanwhile(func() { u, err = create(ctx, a, form) })
				return u, err
			}
			s.update = func(ctx context.Context, a auth.Account) error {
				if u, err := s.find(ctx, key(a.Username)); err == nil && u.ID != a.ID {
					return auth.ErrUsernameTaken
				}
				m.between()
				if err := update(ctx, a); !errors.Is(err, auth.ErrUsernameTaken) {
					return err
				}
				return nil
			}
		}},
		{"reserves the username of an account that it refuses", "Races/of CreateUser whose usernames and addresses cross, every refusal is true", func(s *users) {
			var taken memory[bool]
			m := newMeeting(s.racing)
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (u *storetest.User, err error) {
				if a.Username == "" { // before the race
					return create(ctx, a, form)
				}
				if _, err := s.find(ctx, key(a.Email)); err == nil {
					taken.put(key(a.Username), true)
					m.between()
					return nil, auth.ErrEmailTaken
				}
				m.meanwhile(func() {
					if taken.has(key(a.Username)) {
						err = auth.ErrUsernameTaken
						return
					}
					u, err = create(ctx, a, form)
				})
				return u, err
			}
		}},
		{"updates by deleting and creating the user", "Races/of UpdateAccount and 49 readers, the user is always there, whole, and never older than before", func(s *users) {
			m := newMeeting(s.racing)
			load, update := s.load, s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				if err := update(ctx, a); err != nil {
					return err
				}
				if err := s.remove(ctx, a.ID); err != nil {
					return err
				}
				m.between()
				a.Version++
				_, err := s.create(ctx, a, nil)
				return err
			}
			s.load = func(ctx context.Context, id string) (u *storetest.User, err error) {
				m.meanwhile(func() { u, err = load(ctx, id) })
				return u, err
			}
		}},
		{"looks the ID up by name, then loads the user", "Races/of FindUser and a name that changes hands, only its owner is found", func(s *users) {
			m := newMeeting(s.racing)
			find, update := s.find, s.update
			s.find = func(ctx context.Context, key string) (*storetest.User, error) {
				u, err := find(ctx, key)
				if err != nil || strings.HasPrefix(key, "third") {
					return u, err
				}
				m.between()
				return s.load(ctx, u.ID)
			}
			var first atomic.Bool
			s.update = func(ctx context.Context, a auth.Account) (err error) {
				if first.Swap(true) {
					return update(ctx, a)
				}
				m.meanwhile(func() { err = update(ctx, a) })
				return err
			}
		}},
		{"looks the user up, then deletes", "DeleteUser/of 50 racers, one wins", func(s *users) {
			window := together(s.racing)
			remove := s.remove
			s.remove = func(ctx context.Context, id string) error {
				if _, err := s.load(ctx, id); err != nil {
					return err
				}
				window()
				if err := remove(ctx, id); !errors.Is(err, auth.ErrUserNotFound) {
					return err
				}
				return nil
			}
		}},
		{"brings back a deleted user", "DeleteUser/racing UpdateAccount never brings the user back", func(s *users) {
			m := newMeeting(s.racing)
			update, remove := s.update, s.remove
			s.update = func(ctx context.Context, a auth.Account) error {
				if _, err := s.load(ctx, a.ID); err != nil {
					return err
				}
				m.between()
				err := update(ctx, a)
				if errors.Is(err, auth.ErrUserNotFound) {
					a.Version++
					_, err = s.create(ctx, a, nil)
				}
				return err
			}
			s.remove = func(ctx context.Context, id string) (err error) {
				m.meanwhile(func() { err = remove(ctx, id) })
				return err
			}
		}},
		{"lower-cases usernames in UpdateAccount", "Names/of one username in other cases, widths and compositions are the same", func(s *users) {
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				err := update(ctx, a)
				if errors.Is(err, auth.ErrUsernameTaken) {
					if u, findErr := s.find(ctx, key(a.Username)); findErr == nil && !strings.EqualFold(u.Username, a.Username) {
						return nil
					}
				}
				return err
			}
		}},
		{"cuts hashes at 255 bytes", "CreateUser/keeps a hash of 400 bytes", func(s *users) {
			s.given(func(a *auth.Account) {
				hash := a.PasswordHash.Reveal()
				a.PasswordHash = auth.NewSecret(hash[:min(len(hash), 255)])
			})
		}},
		{"cuts stamps at 65 535 bytes", "CreateUser/keeps or refuses texts with a NUL, invalid UTF-8 or 1 MB", func(s *users) {
			s.given(func(a *auth.Account) {
				stamp := a.Stamp.Reveal()
				a.Stamp = auth.NewSecret(stamp[:min(len(stamp), 65_535)])
			})
		}},
		{"replaces invalid UTF-8 in stamps", "CreateUser/keeps or refuses texts with a NUL, invalid UTF-8 or 1 MB", func(s *users) {
			s.given(func(a *auth.Account) { a.Stamp = auth.NewSecret(strings.ToValidUTF8(a.Stamp.Reveal(), "\ufffd")) })
		}},
		{"stops for cancelled contexts, but not for expired ones", "Context/cancelled or expired, CreateUser does nothing", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if errors.Is(ctx.Err(), context.Canceled) {
					return nil, ctx.Err()
				}
				return create(context.WithoutCancel(ctx), a, form)
			}
		}},
		{"returns an error that hides the context's", "Context/cancelled or expired, FindUser does nothing", func(s *users) {
			find := s.find
			s.find = func(ctx context.Context, key string) (*storetest.User, error) {
				u, err := find(ctx, key)
				if err != nil && ctx.Err() != nil {
					err = errors.New("the user is not available")
				}
				return u, err
			}
		}},
		{"looks the name up after a failure, and finds its own new user", "Context/ended during the call, CreateUser has happened or has not", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				u, err := create(ctx, a, form)
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					if _, findErr := s.find(context.WithoutCancel(ctx), key(a.Username)); findErr == nil {
						return nil, auth.ErrUsernameTaken
					}
					return nil, err
				}
				return u, nil
			}
		}},
		{"saves the names first, then the rest", "Context/ended during the call, UpdateAccount has happened or has not", func(s *users) {
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				u, err := s.load(ctx, a.ID)
				if err != nil {
					return err
				}
				renamed := u.Account
				renamed.Username, renamed.Version = a.Username, a.Version
				if err := update(ctx, renamed); err != nil {
					return err
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				a.Version++
				return update(context.WithoutCancel(ctx), a)
			}
		}},
		{"deletes the user first, then the names", "Context/ended during the call, DeleteUser has happened or has not", func(s *users) {
			var left memory[bool]
			create, remove := s.create, s.remove
			s.remove = func(ctx context.Context, id string) error {
				u, err := s.load(ctx, id)
				if err != nil {
					return err
				}
				if err := remove(ctx, id); err != nil {
					return err
				}
				if err := ctx.Err(); err != nil {
					left.put(key(u.Username), true)
					return err
				}
				return nil
			}
			s.find = finding(s.find, left.has)
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if left.has(key(a.Username)) {
					return nil, auth.ErrUsernameTaken
				}
				return create(ctx, a, form)
			}
		}},
	}
}

// finding is a FindUser that also finds a user by names that were left behind.
func finding(find func(ctx context.Context, key string) (*storetest.User, error), left func(name string) bool) func(ctx context.Context, key string) (*storetest.User, error) {
	return func(ctx context.Context, key string) (*storetest.User, error) {
		if left(key) {
			return &storetest.User{}, ctx.Err()
		}
		return find(ctx, key)
	}
}

// overwrite returns an UpdateAccount that does not compare the Version.
func overwrite(s *users) func(ctx context.Context, a auth.Account) error {
	update := s.update
	return func(ctx context.Context, a auth.Account) error {
		for {
			u, err := s.load(ctx, a.ID)
			if err != nil {
				return err
			}
			a.Version = u.Version
			if err = update(ctx, a); !errors.Is(err, auth.ErrConflict) {
				return err
			}
		}
	}
}
