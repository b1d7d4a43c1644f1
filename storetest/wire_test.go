package storetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/storetest"
)

// This store is shared by several processes and has a connection that can be
// cut. The server is memstore behind TCP: a request is a line of JSON, and the
// answer is one or more lines of JSON. The client is correct. Its verbs can be
// replaced like those of the stores in memory.

// A request is one call. Now is the time of the caller's clock.
type request struct {
	Verb    string
	Now     time.Time
	Record  auth.Record
	Keep    []string    `json:",omitempty"`
	Account wireAccount `json:",omitzero"`
	Form    url.Values  `json:",omitempty"`
	Name    string      `json:",omitempty"`
}

// A reply is one line of the answer. More says whether another line follows.
type reply struct {
	More   bool `json:",omitempty"`
	Error  string
	Record auth.Record
	User   wireAccount `json:",omitzero"`
}

// A wireAccount is an account with its secrets in plain text, and the user's
// name.
type wireAccount struct {
	ID, Username, Email, PasswordHash, Stamp, Name string
	EmailVerified, Disabled                        bool
	Roles                                          []string
	Version                                        int64
}

func toWire(a auth.Account) wireAccount {
	return wireAccount{ID: a.ID, Username: a.Username, Email: a.Email, PasswordHash: a.PasswordHash.Reveal(), Stamp: a.Stamp.Reveal(),
		EmailVerified: a.EmailVerified, Disabled: a.Disabled, Roles: a.Roles, Version: a.Version}
}

func (w wireAccount) user() *storetest.User {
	return &storetest.User{Name: w.Name, Account: auth.Account{ID: w.ID, Username: w.Username, Email: w.Email,
		PasswordHash: auth.NewSecret(w.PasswordHash), Stamp: auth.NewSecret(w.Stamp),
		EmailVerified: w.EmailVerified, Disabled: w.Disabled, Roles: w.Roles, Version: w.Version}}
}

// wireErrors returns the errors that are sent as their text.
func wireErrors() []error {
	return []error{
		auth.ErrUserNotFound, auth.ErrUsernameTaken, auth.ErrEmailTaken, auth.ErrConflict, auth.ErrRecordNotFound,
		auth.ErrRecordExists, auth.ErrInvalidRecord, auth.ErrInvalidUsername, auth.ErrInvalidEmail,
	}
}

// A wireServer is the server.
type wireServer struct {
	store *memstore.Store[storetest.User, *storetest.User]

	mu  sync.Mutex
	now time.Time
}

// newServer starts a server and returns its address.
func newServer(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s := &wireServer{}
	s.store = memstore.New[storetest.User](memstore.WithClock(func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.now
	}))
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return listener.Addr().String()
}

func (s *wireServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := json.NewDecoder(conn)
	for {
		var r request
		if err := in.Decode(&r); err != nil {
			return
		}
		s.mu.Lock()
		s.now = r.Now
		s.mu.Unlock()
		for _, line := range s.answer(r) {
			text, err := json.Marshal(line)
			if err != nil {
				return
			}
			if _, err := conn.Write(append(text, '\n')); err != nil {
				return
			}
		}
	}
}

func (s *wireServer) answer(r request) []reply {
	ctx := context.Background()
	var last reply
	var all []reply
	var user *storetest.User
	var err error
	switch r.Verb {
	case "InsertRecord":
		err = s.store.InsertRecord(ctx, r.Record)
	case "GetRecord":
		last.Record, err = s.store.GetRecord(ctx, r.Record.Kind, r.Record.Key)
	case "UpdateRecord":
		err = s.store.UpdateRecord(ctx, r.Record)
	case "TakeRecord":
		last.Record, err = s.store.TakeRecord(ctx, r.Record.Kind, r.Record.Key)
	case "ListRecords":
		var list []auth.Record
		list, err = s.store.ListRecords(ctx, r.Record.Kind, r.Record.UserID)
		for _, one := range list {
			all = append(all, reply{More: true, Record: one})
		}
	case "DeleteRecords":
		err = s.store.DeleteRecords(ctx, r.Record.Kind, r.Record.UserID, r.Keep...)
	case "LoadUser":
		user, err = s.store.LoadUser(ctx, r.Name)
	case "FindUser":
		user, err = s.store.FindUser(ctx, r.Name)
	case "CreateUser":
		user, err = s.store.CreateUser(ctx, r.Account.user().Account, r.Form)
	case "UpdateAccount":
		err = s.store.UpdateAccount(ctx, r.Account.user().Account)
	case "DeleteUser":
		err = s.store.DeleteUser(ctx, r.Name)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		last.Error = err.Error()
		for _, known := range wireErrors() {
			if errors.Is(err, known) {
				last.Error = known.Error()
			}
		}
	} else if user != nil {
		last.User = toWire(user.Account)
		last.User.Name = user.Name
	}
	return append(all, last)
}

// A client has one connection, which it closes when anything fails.
type client struct {
	address string
	clock   func() time.Time
	once    bool         // broken: it opens one connection and never a second
	dawdled atomic.Int64 // broken: it does something in two steps; see dawdle

	mu   sync.Mutex
	conn net.Conn
	in   *json.Decoder
}

func newClient(t *testing.T, address string, clock func() time.Time) *client {
	c := &client{address: address, clock: clock}
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.hangUp()
	})
	return c
}

func (c *client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	if !c.once {
		c.conn = nil
	}
}

// call sends a request, and returns the lines of the answer and its error.
// Lines that came before a failure are returned together with the error.
func (c *client) call(ctx context.Context, r request) (list []reply, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.conn == nil {
		if c.conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", c.address); err != nil {
			c.conn = nil
			return nil, err
		}
		c.in = json.NewDecoder(c.conn)
	}
	defer func() {
		if lost(err) {
			c.hangUp()
		}
	}()
	r.Now = c.clock()
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(append(text, '\n')); err != nil {
		return nil, fmt.Errorf("asking: %w", err)
	}
	for {
		var line reply
		if err := c.in.Decode(&line); err != nil {
			return list, fmt.Errorf("waiting for the answer: %w", err)
		}
		list = append(list, line)
		if line.More {
			continue
		}
		if line.Error == "" {
			return list, nil
		}
		for _, known := range wireErrors() {
			if known.Error() == line.Error {
				return list, answered{known}
			}
		}
		return list, answered{errors.New(line.Error)}
	}
}

// answered is an error that the server has sent.
type answered struct{ error }

func (a answered) Unwrap() error { return a.error }

// records and users return correct stores.
func (c *client) records() *records {
	one := func(ctx context.Context, verb, kind, key string) (auth.Record, error) {
		list, err := c.call(ctx, request{Verb: verb, Record: auth.Record{Kind: kind, Key: key}})
		if err != nil {
			return auth.Record{}, err
		}
		return list[0].Record, nil
	}
	return &records{
		client: c, clock: c.clock,
		insert: func(ctx context.Context, r auth.Record) error {
			_, err := c.call(ctx, request{Verb: "InsertRecord", Record: r})
			return err
		},
		get: func(ctx context.Context, kind, key string) (auth.Record, error) {
			return one(ctx, "GetRecord", kind, key)
		},
		update: func(ctx context.Context, r auth.Record) error {
			_, err := c.call(ctx, request{Verb: "UpdateRecord", Record: r})
			return err
		},
		take: func(ctx context.Context, kind, key string) (auth.Record, error) {
			return one(ctx, "TakeRecord", kind, key)
		},
		list: func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
			lines, err := c.call(ctx, request{Verb: "ListRecords", Record: auth.Record{Kind: kind, UserID: userID}})
			if err != nil {
				return nil, err
			}
			var list []auth.Record
			for _, line := range lines[:len(lines)-1] {
				list = append(list, line.Record)
			}
			return list, nil
		},
		remove: func(ctx context.Context, kind, userID string, keep ...string) error {
			_, err := c.call(ctx, request{Verb: "DeleteRecords", Record: auth.Record{Kind: kind, UserID: userID}, Keep: keep})
			return err
		},
	}
}

func (c *client) users() *users {
	one := func(ctx context.Context, r request) (*storetest.User, error) {
		list, err := c.call(ctx, r)
		if err != nil {
			return nil, err
		}
		return list[0].User.user(), nil
	}
	return &users{
		client: c,
		load: func(ctx context.Context, id string) (*storetest.User, error) {
			return one(ctx, request{Verb: "LoadUser", Name: id})
		},
		find: func(ctx context.Context, key string) (*storetest.User, error) {
			return one(ctx, request{Verb: "FindUser", Name: key})
		},
		create: func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
			return one(ctx, request{Verb: "CreateUser", Account: toWire(a), Form: form})
		},
		update: func(ctx context.Context, a auth.Account) error {
			_, err := c.call(ctx, request{Verb: "UpdateAccount", Account: toWire(a)})
			return err
		},
		remove: func(ctx context.Context, id string) error {
			_, err := c.call(ctx, request{Verb: "DeleteUser", Name: id})
			return err
		},
	}
}

// A correct store passes.

func TestWireRecordProcesses(t *testing.T) {
	storetest.TestRecordStoreProcesses(t, newServer, func(t *testing.T, address string, clock func() time.Time) auth.RecordStore {
		return newClient(t, address, clock).records()
	})
}

func TestWireUserProcesses(t *testing.T) {
	storetest.TestUserStoreProcesses(t, newServer, func(t *testing.T, address string, clock func() time.Time) auth.UserStore[*storetest.User] {
		return newClient(t, address, clock).users()
	})
}

func TestWireRecordCut(t *testing.T) {
	storetest.TestRecordStoreCut(t, newServer(t), func(t *testing.T, address string, clock func() time.Time) auth.RecordStore {
		return newClient(t, address, clock).records()
	})
}

func TestWireUserCut(t *testing.T) {
	storetest.TestUserStoreCut(t, newServer(t), func(t *testing.T, address string, clock func() time.Time) auth.UserStore[*storetest.User] {
		return newClient(t, address, clock).users()
	})
}
