package auth_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// fullAccount returns an account with a value in every field.
func fullAccount(t *testing.T) auth.Account {
	t.Helper()
	a := auth.Account{
		ID: "1", Username: "Susan", Email: "Susan@app.example", EmailVerified: true,
		PasswordHash: auth.NewSecret("the hash"), Stamp: auth.NewSecret("the stamp"),
		Disabled: true, Roles: []string{"admin"}, Version: 7,
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[auth.Account]()) {
		if reflect.ValueOf(a).FieldByIndex(field.Index).IsZero() {
			t.Fatalf("the account of this test has no %s", field.Name)
		}
	}
	return a
}

// A careless handler decodes a client's data into the user. This must set the
// application's own fields, and no field of Account.
func TestClientsCannotSetAccountFields(t *testing.T) {
	t.Parallel()
	type user struct {
		auth.Account
		Name string
	}
	type nested struct {
		Account auth.Account
		Name    string
	}
	type tagged struct {
		auth.Account `json:"account" xml:"account"`
		Name         string
	}
	snake := map[string]string{"EmailVerified": "email_verified", "PasswordHash": "password_hash"}
	attack, attackXML := map[string]any{"Name": "Mallory"}, "<Name>Mallory</Name>"
	fields := map[string]any{}
	for _, f := range []struct {
		name  string
		value any
	}{
		{"ID", "2"}, {"Username", "admin"}, {"Email", "admin@app.example"}, {"EmailVerified", false}, {"PasswordHash", "x"},
		{"Stamp", "x"}, {"Disabled", false}, {"Roles", []string{"root"}}, {"Version", 99},
	} {
		text := fmt.Sprint(f.value)
		for _, name := range []string{f.name, strings.ToLower(f.name), strings.ToUpper(f.name), snake[f.name]} {
			if name == "" {
				continue
			}
			fields[name], attack[name] = f.value, f.value
			attackXML += "<" + name + ">" + text + "</" + name + ">"
		}
	}
	for _, name := range []string{"Account", "account"} {
		attack[name] = fields
		attackXML += "<" + name + ">" + attackXML + "</" + name + ">"
	}
	text, err := json.Marshal(attack)
	if err != nil {
		t.Fatal(err)
	}
	for format, decode := range map[string]func(into any) error{
		"JSON": func(into any) error { return json.Unmarshal(text, into) },
		"XML":  func(into any) error { return xml.Unmarshal([]byte("<user>"+attackXML+"</user>"), into) },
	} {
		want := fullAccount(t)
		a, b, c := user{Account: want.Clone()}, nested{Account: want.Clone()}, tagged{Account: want.Clone()}
		for _, into := range []any{&a, &b, &c} {
			if err := decode(into); err != nil {
				t.Errorf("%s: %T: %v", format, into, err)
			}
		}
		if a.Name != "Mallory" || b.Name != "Mallory" || c.Name != "Mallory" {
			t.Errorf("%s: the application's own field is %q, %q, %q", format, a.Name, b.Name, c.Name)
		}
		for _, got := range []auth.Account{a.Account, b.Account, c.Account} {
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: a client made the account %+v", format, got)
			}
		}
	}
}

// Decoders of forms obey these tags.
func TestAccountTags(t *testing.T) {
	t.Parallel()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[auth.Account]()) {
		for _, key := range []string{"json", "xml", "form", "schema"} {
			if got := field.Tag.Get(key); got != "-" {
				t.Errorf("%s has the tag %s:%q, want -: a client could set it", field.Name, key, got)
			}
		}
	}
}

// A profile that a client has sent is saved for the user who sent it.
func TestUpdateProfileOfDecodedUser(t *testing.T) {
	t.Parallel()
	store := memstore.New[testapp.User]()
	var users []*testapp.User
	for _, name := range []string{"susan", "john"} {
		u, err := store.CreateUser(t.Context(), auth.Account{Username: name, Version: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, u)
	}
	susan, john := users[0], users[1]
	if err := json.Unmarshal(fmt.Appendf(nil, `{"Name": "Mallory", "ID": %q, "Version": 1, "Roles": ["admin"]}`, john.ID), susan); err != nil {
		t.Fatal(err)
	}
	if err := store.UpdateProfile(t.Context(), susan); err != nil {
		t.Fatal(err)
	}
	for want, id := range map[string]string{"Mallory": susan.ID, "": john.ID} {
		if u, err := store.LoadUser(t.Context(), id); err != nil || u.Name != want || len(u.Roles) > 0 {
			t.Errorf("the user is %+v, %v; want the name %q", u, err, want)
		}
	}
}

// A client does not see the fields of Account.
func TestAccountHasNoJSON(t *testing.T) {
	t.Parallel()
	type user struct {
		auth.Account
		Name string
	}
	text, err := json.Marshal(user{fullAccount(t), "Susan"})
	if err != nil || string(text) != `{"Name":"Susan"}` {
		t.Errorf("JSON: %s, %v", text, err)
	}
	text, err = xml.Marshal(user{fullAccount(t), "Susan"})
	if err != nil || string(text) != `<user><Name>Susan</Name></user>` {
		t.Errorf("XML: %s, %v", text, err)
	}
}

// A store that keeps users as JSON gets back what it saved, including the secrets.
func TestStoredAccount(t *testing.T) {
	t.Parallel()
	type row struct {
		auth.StoredAccount
		Name string
	}
	for _, want := range []auth.Account{fullAccount(t), {ID: "1"}, {}} {
		text, err := json.Marshal(row{auth.StoredAccountOf(want), "Susan"})
		if err != nil {
			t.Fatal(err)
		}
		var got row
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		a := got.Account()
		if !reflect.DeepEqual(revealed(a), revealed(want)) || got.Name != "Susan" {
			t.Errorf("%s became %+v", text, got)
		}
	}
	stored := auth.StoredAccountOf(fullAccount(t))
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", stored, stored, stored), fmt.Sprint(&stored)} {
		if strings.Contains(text, "the hash") || strings.Contains(text, "the stamp") {
			t.Errorf("printed, it is %s", text)
		}
	}
	if reflect.TypeFor[auth.Account]().NumField() != reflect.TypeFor[auth.StoredAccount]().NumField() {
		t.Error("a StoredAccount has other fields than an Account")
	}
	shared := fullAccount(t)
	stored = auth.StoredAccountOf(shared)
	back := stored.Account()
	shared.Roles[0] = "changed"
	stored.Roles[0] = "changed"
	if stored := auth.StoredAccountOf(back); stored.Roles[0] != "admin" {
		t.Error("the copies share their Roles")
	}
	var secret auth.StoredSecret
	if err := json.Unmarshal([]byte(`null`), &secret); err != nil || !secret.IsZero() {
		t.Errorf("null: %v", err)
	}
	if err := json.Unmarshal([]byte(`7`), &secret); err == nil {
		t.Error("a number was decoded into a Secret")
	}
}

// revealed returns a copy of an account whose secrets can be compared.
func revealed(a auth.Account) []any {
	hash, stamp := a.PasswordHash.Reveal(), a.Stamp.Reveal()
	a.PasswordHash, a.Stamp = auth.Secret{}, auth.Secret{}
	return []any{a, hash, stamp}
}
