package pages

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/go-login/auth"
)

func (p *Pages) registerPage() *page {
	t := &p.texts
	return &page{
		name: "register", title: &t.RegisterTitle,
		texts: []text{
			must(&t.RegisterTitle, "Register"),
			must(&t.RegisterButton, "Register"),
			must(&t.ConfirmPassword, "Confirm Password"),
			may(&t.Optional, "(optional)"),
			may(&t.HaveAccount, "Already have an account?"),
			may(&t.Registered, "Your account has been created! You can now log in."),
			may(&t.RegisterMailed, "Check your email to finish your registration."),
			must(&t.UsernameLength, "The username must have {min} to {max} characters."),
			must(&t.UsernameInvalid, "The username must not have spaces, an @ or special characters."),
			must(&t.UsernameTaken, "Username already taken. Please choose a different one."),
			must(&t.NotText, "This has characters that are not text."),
		},
		path: "/register", url: &p.urls.Register,
		who: visitors, once: true,
		form: p.registerForm, get: p.show, post: p.register,
	}
}

func (p *Pages) registerForm(q *request) *Form {
	t := &p.texts
	var fields []Field
	if p.cfg.Username != Absent {
		fields = append(fields, Field{Name: "username", Label: t.Username, Type: "text", Autocomplete: "username", Required: p.cfg.Username == Required})
	}
	if p.cfg.Email != Absent {
		fields = append(fields, Field{Name: "email", Label: t.Email, Type: "email", Autocomplete: "email", Required: p.cfg.Email == Required})
	}
	fields = append(fields, p.cfg.Fields...)
	for i := range fields {
		if field := &fields[i]; !field.Required && field.Type != "checkbox" && t.Optional != "" {
			field.Label += " " + t.Optional
		}
	}
	f := newForm(p.urls.Register, t.RegisterButton, q.typed, append(fields,
		Field{Name: "password", Label: t.Password, Type: "password", Autocomplete: "new-password", Required: true},
		Field{Name: "confirm_password", Label: t.ConfirmPassword, Type: "password", Autocomplete: "new-password", Required: true},
	)...)
	f.Next = q.next().String()
	return f
}

func (p *Pages) register(q *request) answer {
	category, text := "info", p.texts.RegisterMailed
	if !p.auth.RequireVerified {
		category, text = "success", p.texts.Registered
	}
	return p.doOnce(q, category, text, p.registerOnce)
}

func (p *Pages) registerOnce(q *request) (a answer, done bool) {
	f := p.registerForm(q)
	if err := p.checkRegistration(q.Context(), f); err != nil {
		return answer{err: err}, false
	}
	if p.cfg.CheckRegistration != nil {
		f.refuseFields(p.cfg.CheckRegistration(q.Context(), maps.Clone(q.PostForm)))
	}
	if f.valid() {
		_, err := p.core.Register(q.Context(), p.registration(f))
		if err == nil || errors.Is(err, auth.ErrCheckMail) {
			return answer{to: q.next().AddTo(p.urls.Login)}, true
		}
		if p.refuse(f, err); f.valid() { // then the error is about no field
			return answer{err: err}, false
		}
	}
	return p.draw(q, f), false
}

// checkRegistration checks the fields without asking the store. It returns an error only
// if the client's address has reached a limit.
func (p *Pages) checkRegistration(ctx context.Context, f *Form) error {
	t := &p.texts
	f.require(t.Required)
	if name := f.text("username"); f.Field("username") != nil && name != "" {
		if n := utf8.RuneCountInString(name); n < p.cfg.MinUsername || n > p.cfg.MaxUsername {
			f.refuse("username", t.usernameLength(p.cfg.MinUsername, p.cfg.MaxUsername))
		}
		_, err := auth.UsernameKey(name)
		p.refuse(f, err)
	}
	if address := f.text("email"); f.Field("email") != nil && address != "" {
		p.refuse(f, p.core.ValidateEmail(address))
	}
	for _, field := range p.cfg.Fields {
		if !isText(f.get(field.Name)) {
			f.refuse(field.Name, t.NotText)
		}
	}
	return p.checkPasswords(ctx, f, auth.Account{Username: f.text("username"), Email: f.text("email")})
}

// registration returns what a valid form asks for.
func (p *Pages) registration(f *Form) auth.Registration {
	a := auth.Registration{Password: f.get("password"), Form: url.Values{}}
	if f.Field("username") != nil {
		a.Username = f.text("username")
	}
	if f.Field("email") != nil {
		a.Email = f.text("email")
	}
	for _, field := range p.cfg.Fields { // other fields that were posted are ignored
		if values, ok := f.values[field.Name]; ok {
			a.Form[field.Name] = slices.Clone(values)
		}
	}
	return a
}
