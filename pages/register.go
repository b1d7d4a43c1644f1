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
			must(&t.RegisterTitle, "Create your account"),
			must(&t.RegisterButton, "Create account"),
			must(&t.ConfirmPassword, "Confirm password"),
			may(&t.Optional, "(optional)"),
			may(&t.UsernameHint, "{min} to {max} characters, without spaces or @."),
			may(&t.HaveAccount, "Already have an account?"),
			may(&t.Registered, "Your account has been created. You can now log in."),
			must(&t.RegisterMailed, "We have sent an email to {address}. It says how to finish your registration."),
			must(&t.UsernameLength, "The username must have {min} to {max} characters."),
			must(&t.UsernameInvalid, "The username must not have spaces, an @ or special characters."),
			must(&t.UsernameTaken, "This username is taken. Choose another one."),
			must(&t.NotText, "This has characters that are not text."),
		},
		path: "/register", url: &p.urls.Register,
		who: visitors, once: true, fields: p.registerFields(aText), flags: p.registerFields(aFlag),
		form: p.registerForm, again: p.showRegister, get: p.showRegister, post: p.register,
		sample: sampleProviders, open: p.checkedFields(),
	}
}

// checkedFields says which other fields the form may have. CheckRegistration gets every field
// that was sent, from programs too: a field that people do not see, or the token of a captcha.
func (p *Pages) checkedFields() string {
	if p.cfg.CheckRegistration == nil {
		return ""
	}
	return "And the fields that the application's own check of registrations reads."
}

// registerFields returns the names of the form's texts, or of its check boxes.
func (p *Pages) registerFields(kind fieldKind) []string {
	var texts, flags []string
	if p.cfg.Username != Absent {
		texts = append(texts, "username")
	}
	if p.cfg.Email != Absent {
		texts = append(texts, "email")
	}
	for _, field := range p.cfg.Fields {
		if field.Type == "checkbox" {
			flags = append(flags, field.Name)
		} else {
			texts = append(texts, field.Name)
		}
	}
	if kind == aFlag {
		return flags
	}
	return append(texts, "password", "confirm_password", "next")
}

func (p *Pages) registerForm(q *request) *Form {
	t := &p.texts
	var fields []Field
	if p.cfg.Username != Absent {
		fields = append(fields, Field{
			Name: "username", Label: t.Username, Type: "text", Autocomplete: "username", Required: p.cfg.Username == Required,
			MinLength: p.cfg.MinUsername, Hint: within(t.UsernameHint, p.cfg.MinUsername, p.cfg.MaxUsername),
		})
	}
	if p.cfg.Email != Absent {
		complete := "email"
		if p.auth.Identifiers == auth.EmailOnly {
			complete = "username" // a password manager saves it as the login
		}
		fields = append(fields, Field{Name: "email", Label: t.Email, Type: "email", Autocomplete: complete, Required: p.cfg.Email == Required})
	}
	fields = append(fields, p.cfg.Fields...)
	for i := range fields {
		if field := &fields[i]; !field.Required && field.Type != "checkbox" && t.Optional != "" {
			field.Label += " " + t.Optional
		}
	}
	f := newForm(p.urls.Register, t.RegisterButton, q.typed, append(fields, p.newPassword(t.Password, t.ConfirmPassword)...)...)
	f.Next = q.next().String()
	return f
}

func (p *Pages) showRegister(q *request) answer { return p.drawRegister(q, p.registerForm(q)) }

func (p *Pages) drawRegister(q *request, f *Form) answer { return p.withProviders(q, p.draw(q, f)) }

func (p *Pages) register(q *request) answer {
	if !p.auth.RequireVerified {
		a := p.doOnce(q, "success", p.texts.Registered, p.registerOnce)
		if a.to != "" {
			typed := p.registration(p.registerForm(q))
			a = p.keepLoginName(a, typed.Username, typed.Email)
		}
		return a
	}
	a := p.doOnce(q, "", "", p.registerOnce)
	if a.to == "" {
		return a
	}
	return p.mailed(q, "register", q.PostForm.Get("email"), q.next()) // also if the form was done before
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
	return p.drawRegister(q, f), false
}

// checkRegistration checks the fields without asking the store. It returns an error only
// if the client's address has reached a limit.
func (p *Pages) checkRegistration(ctx context.Context, f *Form) error {
	t := &p.texts
	f.require(t)
	if name := f.text("username"); f.Field("username") != nil && name != "" {
		if n := utf8.RuneCountInString(name); n < p.cfg.MinUsername || n > p.cfg.MaxUsername {
			f.refuse("username", within(t.UsernameLength, p.cfg.MinUsername, p.cfg.MaxUsername))
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
		if value := f.get(field.Name); field.Type == "select" && value != "" && !field.offers(value) {
			f.refuse(field.Name, t.WrongType)
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
