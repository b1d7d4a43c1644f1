package sqlstore_test

import (
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// These types are used in the user types below.
type (
	address  struct{ Street, City string }
	company  struct{ Name, City string }
	base     struct{ Nick string }
	deeper   struct{ base }
	hidden   struct{ Phone string }
	node     struct{ Next *node }
	loop     struct{ *loop }
	date     struct{ time.Time }
	opaque   struct{ n int } //nolint:unused // unexported on purpose
	level    int
	badLevel int
	oneWay   struct{ Cents int }
	pointed  struct{ Cents int }
	secretly struct {
		Note string `json:"-"`
	}
	withTime struct {
		time.Time
		Place string
	}
	ownMethods struct {
		time.Time
		Place string
	}
)

func (l level) MarshalText() ([]byte, error) { return []byte(strings.Repeat("i", int(l))), nil }
func (l *level) UnmarshalText(b []byte) error {
	*l = level(len(b))
	return nil
}

func (l badLevel) MarshalText() ([]byte, error) { return []byte("x"), nil }

func (m oneWay) MarshalJSON() ([]byte, error) { return []byte(`{"amount":1}`), nil }

func (m *pointed) MarshalJSON() ([]byte, error) { return json.Marshal(m.Cents) }
func (m *pointed) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &m.Cents) }

func (o ownMethods) MarshalJSON() ([]byte, error) { return json.Marshal([]any{o.Time, o.Place}) }
func (o *ownMethods) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&o.Time, &o.Place})
}

// newError returns the error of auth.New for users of a type. It checks that
// every method of the store returns it, too.
func newError[T any, P interface {
	*T
	auth.User
}](t *testing.T) error {
	t.Helper()
	s := sqlstore.New[T, P](inMemory(t), sqlstore.SQLite)
	_, err := auth.New(s, auth.Config{BaseURL: "https://app.example", Secrets: [][]byte{[]byte("0123456789abcdefghijklmnopqrstuv")}})
	if _, err := auth.NewWithLoader[P](s, auth.Config{BaseURL: "https://app.example", Secrets: [][]byte{[]byte("0123456789abcdefghijklmnopqrstuv")}}); (err == nil) != (s.CheckStore() == nil) {
		t.Errorf("NewWithLoader: %v", err)
	}
	if _, method := s.CreateUser(t.Context(), auth.Account{}, nil); s.CheckStore() != nil && (method == nil || err == nil || method.Error() != err.Error()) {
		t.Errorf("CreateUser: %v, New: %v", method, err)
	}
	return err
}

// TestLostFields has user types with a field that encoding/json would lose, and
// the name of that field.
func TestLostFields(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want []string
	}{
		{"not for JSON", newError[struct {
			auth.Account
			Phone string `json:"-"`
		}](t), []string{".Phone ", `json:"-"`}},
		{"not for JSON, deep in it", newError[struct {
			auth.Account
			Notes map[string][]*secretly
		}](t), []string{".Notes[][].Note "}},
		{"an embedded struct that is not for JSON", newError[struct {
			auth.Account
			hidden `json:"-"`
		}](t), []string{".hidden "}},
		{"two embedded structs share a name", newError[struct {
			auth.Account
			address
			company
		}](t), []string{".City ", ".company.City"}},
		{"a name that is covered", newError[struct {
			auth.Account
			base
			Nick string
		}](t), []string{".base.Nick "}},
		{"a name that is covered, two levels down", newError[struct {
			auth.Account
			deeper
			Nick int
		}](t), []string{".deeper.base.Nick "}},
		{"the same struct on two ways", newError[struct {
			auth.Account
			base
			deeper
		}](t), []string{".deeper.base.Nick "}},
		{"a tag that is another field's name", newError[struct {
			auth.Account
			A string
			B string `json:"A"`
		}](t), []string{".A ", ".B "}},
		{"a name in a struct in a slice", newError[struct {
			auth.Account
			Jobs []struct {
				address
				company
			}
		}](t), []string{".Jobs[]."}},
		{"any", newError[struct {
			auth.Account
			Extra any
		}](t), []string{".Extra ", "interface"}},
		{"any in a map", newError[struct {
			auth.Account
			Extra map[string]any
		}](t), []string{".Extra[] "}},
		{"any in a slice behind a pointer", newError[struct {
			auth.Account
			Extra *[][]any
		}](t), []string{".Extra[][] "}},
		{"another interface", newError[struct {
			auth.Account
			Err error
		}](t), []string{".Err "}},
		{"an embedded interface", newError[struct {
			auth.Account
			json.Marshaler
		}](t), []string{".Marshaler "}},
		{"an embedded time", newError[struct {
			auth.Account
			time.Time
			Name string
		}](t), []string{".Time ", "name"}},
		{"an embedded pointer to a time", newError[struct {
			auth.Account
			*time.Time
			Name string
		}](t), []string{".Time "}},
		{"two embedded types with methods", newError[struct {
			auth.Account
			time.Time
			netip.Addr
		}](t), []string{".Time "}},
		{"an embedded time further down", newError[struct {
			auth.Account
			Met []withTime
		}](t), []string{".Met[].Time "}},
		{"methods one way", newError[struct {
			auth.Account
			Price oneWay
		}](t), []string{".Price ", "UnmarshalJSON"}},
		{"methods of a pointer, in a map", newError[struct {
			auth.Account
			Prices map[string]pointed
		}](t), []string{".Prices[] "}},
		{"keys one way", newError[struct {
			auth.Account
			Levels map[badLevel]int
		}](t), []string{".Levels ", "keys"}},
		{"keys that are no text", newError[struct {
			auth.Account
			Levels map[float64]int
		}](t), []string{".Levels ", "keys"}},
		{"the option string", newError[struct {
			auth.Account
			Level level `json:",string"`
		}](t), []string{".Level ", "string"}},
		{"a channel", newError[struct {
			auth.Account
			Done chan int
		}](t), []string{".Done "}},
		{"a function", newError[struct {
			auth.Account
			Greet func() `json:",omitempty"`
		}](t), []string{".Greet "}},
		{"a complex number", newError[struct {
			auth.Account
			C []complex128
		}](t), []string{".C[] "}},
		{"nothing exported", newError[struct {
			auth.Account
			Opaque opaque
		}](t), []string{".Opaque "}},
		{"nothing exported, of the standard library", newError[struct {
			auth.Account
			Seen atomic.Int64
		}](t), []string{".Seen "}},
		{"an embedded mutex", newError[struct {
			auth.Account
			sync.Mutex
		}](t), []string{".Mutex "}},
		{"a URL, whose password is hidden", newError[struct {
			auth.Account
			Home *url.URL
		}](t), []string{".Home.User "}},
		{"an embedded pointer to a type that is not exported", newError[struct {
			auth.Account
			*address
		}](t), []string{".address "}},
		{"embedded in itself", newError[struct {
			auth.Account
			Loop loop
		}](t), []string{".Loop.loop "}},
		{"another account", newError[struct {
			auth.Account
			Parent *auth.Account
		}](t), []string{".Parent "}},
		{"another user", newError[parented](t), []string{".Parent."}},
	} {
		if c.err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(c.err.Error(), want) {
				t.Errorf("%s: the error does not name %q: %v", c.name, want, c.err)
			}
		}
	}
}

type parented struct {
	auth.Account
	Parent *parented
}

// An everything has a field of every kind that encoding/json keeps.
type everything struct {
	auth.Account
	base
	*Public
	Named     company
	Born      time.Time
	Seen      *time.Time `json:",omitempty"`
	Day       date
	Both      ownMethods
	Level     level
	Levels    map[level]int
	Years     map[int64]*address
	Prices    map[string]*pointed
	More      []pointed
	Large     int64
	Larger    uint64 `json:"larger,string"`
	Small     int8
	F         float32
	Big       big.Int
	Raw       json.RawMessage
	Bytes     []byte
	Array     [3]bool
	IP        netip.Addr
	List      *node
	Case      string `json:"case"`
	CASE      string `json:"CASE"`
	Odd       string `json:"a\"b"`  //nolint:staticcheck // an invalid tag on purpose
	MyEmail   string `json:"Email"` // the account has this name, too
	Empty     struct{}
	cache     map[string]any // is not kept
	Transient func()         `json:"-" sqlstore:"-"`
	Deep      map[string][]struct{ X, Y *int }
}

// A Public is embedded by pointer.
type Public struct{ Motto string }

// Person is a user type without fields of its own, to be embedded in another.
type Person struct{ auth.Account }

type cached struct {
	auth.Account
	cache int
}

func (c *cached) AuthAccount() *auth.Account { c.cache++; return &c.Account }

// TestNoFieldsOfItsOwn has user types of which only the account has to be
// saved.
func TestNoFieldsOfItsOwn(t *testing.T) {
	for name, err := range map[string]error{
		"only an account":                   newError[Person](t),
		"embedded":                          newError[struct{ Person }](t),
		"embedded twice":                    newError[struct{ cached }](t),
		"with a field that is not exported": newError[cached](t),
		"after another field": newError[struct {
			Name string
			Person
		}](t),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	type Times struct{ begun, ended time.Time } //nolint:unused // unexported on purpose
	err := newError[struct {
		Times
		auth.Account
	}](t)
	if err == nil || !strings.Contains(err.Error(), ".Times is a sqlstore_test.Times without exported fields") {
		t.Errorf("before the account: %v", err)
	}
	db := inMemory(t)
	check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
	s := sqlstore.New[Person](db, sqlstore.SQLite)
	u, err := s.CreateUser(t.Context(), auth.Account{Username: "ada", Version: 1}, nil)
	check(t, err)
	if u, err = s.LoadUser(t.Context(), u.ID); err != nil || u.Username != "ada" {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestKeptFields saves a value in every kind of field that the check accepts,
// and reads it back.
func TestKeptFields(t *testing.T) { each(t, testKeptFields) }

func testKeptFields(t *testing.T, e engine) {
	s := sqlstore.New[everything](e.newDB(t), e.dialect)
	u, err := s.CreateUser(t.Context(), auth.Account{Username: "ada", Email: "ada@example.com"}, nil)
	check(t, err)
	at := time.Date(1815, 12, 10, 1, 2, 3, 456789012, time.UTC)
	n := 7
	u.Nick, u.Public, u.Named = "a", &Public{"m"}, company{"n", "c"}
	u.Born, u.Seen, u.Day, u.Both = at, &at, date{at}, ownMethods{at, "London"}
	u.Level, u.Levels = 3, map[level]int{2: 5}
	u.Years, u.Prices = map[int64]*address{math.MinInt64: {"s", "c"}}, map[string]*pointed{"é\x00": {5}}
	u.More, u.Large, u.Larger, u.Small, u.F = []pointed{{1}, {2}}, math.MaxInt64, math.MaxUint64, math.MinInt8, math.MaxFloat32
	u.Big.SetString("123456789012345678901234567890", 10)
	u.Raw, u.Bytes, u.Array, u.IP = json.RawMessage(`{"n":9007199254740993}`), []byte{0, 0xff}, [3]bool{true, false, true}, netip.MustParseAddr("::1")
	u.List, u.Case, u.CASE, u.Odd, u.MyEmail = &node{&node{}}, "lower", "upper", "odd", "mine"
	u.Deep = map[string][]struct{ X, Y *int }{"\U0001F600": {{X: &n}}}
	u.cache = map[string]any{"a": 1}
	check(t, s.UpdateProfile(t.Context(), u))
	got, err := s.LoadUser(t.Context(), u.ID)
	check(t, err)
	if got.cache != nil || got.Email != "ada@example.com" {
		t.Errorf("got %v, %q", got.cache, got.Email)
	}
	got.Account, got.cache = u.Account, u.cache
	if !reflect.DeepEqual(got, u) {
		a, _ := json.Marshal(u)
		b, _ := json.Marshal(got)
		t.Errorf("got\n%s\nwant\n%s", b, a)
	}
}

// TestProfileIsNotChangedInSilence has values that encoding/json would replace.
func TestProfileIsNotChangedInSilence(t *testing.T) { each(t, testProfileIsNotChangedInSilence) }

func testProfileIsNotChangedInSilence(t *testing.T, e engine) {
	type user struct {
		auth.Account
		base
		Text  string
		Texts map[string][]*address
		F     float64
		List  *node
	}
	s := sqlstore.New[user](e.newDB(t), e.dialect)
	u, err := s.CreateUser(t.Context(), auth.Account{Username: "ada"}, nil)
	check(t, err)
	circle := &node{}
	circle.Next = circle
	for field, change := range map[string]func(u *user){
		".Text ":           func(u *user) { u.Text = "a\xffb" },
		".Nick ":           func(u *user) { u.Nick = "\xc3" },
		".Texts[] ":        func(u *user) { u.Texts = map[string][]*address{"\xff": nil} },
		".Texts[][].City ": func(u *user) { u.Texts = map[string][]*address{"x": {{City: "\xed\xa0\x80"}}} },
		"NaN":              func(u *user) { u.F = math.NaN() },
		"cycle":            func(u *user) { u.List = circle },
	} {
		changed := *u
		change(&changed)
		err := s.UpdateProfile(t.Context(), &changed)
		wantFailure(t, field, err)
		if err != nil && !strings.Contains(err.Error(), field) {
			t.Errorf("the error does not name %q: %v", field, err)
		}
	}
	u.Text = "\ufffd\\ufffd" // valid UTF-8
	check(t, s.UpdateProfile(t.Context(), u))
}
