package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-login/auth"
)

// pageSize is how many users a page shows.
const pageSize = 50

// users lists the users, a page at a time, or the user with this name or address.
func (a *app) users(w http.ResponseWriter, r *http.Request) {
	var (
		users  []*User
		next   string
		err    error
		search = strings.TrimSpace(r.URL.Query().Get("search"))
	)
	if search == "" {
		users, next, err = a.manager.ListUsers(r.Context(), r.URL.Query().Get("after"), pageSize)
	} else {
		var user *User
		if user, err = a.find(r.Context(), search); err == nil {
			users = []*User{user}
		} else if errors.Is(err, auth.ErrUserNotFound) {
			err = nil
		}
	}
	if err != nil {
		a.manager.Error(w, r, err)
		return
	}
	a.render(w, r, http.StatusOK, "users.html", map[string]any{"Title": "Users", "Users": users, "Search": search, "Next": next})
}

// create makes an account, and mails its owner a link to set the password.
func (a *app) create(w http.ResponseWriter, r *http.Request) {
	ctx, err := because(r.Context(), r.PostFormValue("reason"))
	var user *User
	if err == nil {
		user, err = a.manager.CreateUser(ctx, auth.Registration{Email: r.PostFormValue("email")}, strings.Fields(r.PostFormValue("roles"))...)
	}
	if err == nil {
		err = a.manager.Flash(r.Context(), "message", "A mail with a link is on its way to "+user.Email+".")
	}
	if status := refused(err); status != 0 {
		http.Error(w, err.Error(), status)
		return
	}
	if err != nil {
		a.manager.Error(w, r, err)
		return
	}
	http.Redirect(w, r, "/admin/users/"+url.PathEscape(user.ID), http.StatusSeeOther)
}

// user shows an account.
func (a *app) user(w http.ResponseWriter, r *http.Request) {
	a.show(w, r, http.StatusOK, "")
}

// details are what the page of a user shows, and the command "user".
type details struct {
	Title   string
	User    *User
	Logins  []auth.Login
	Factors []auth.FactorState
	Acts    []act
	Result  string // of the act just done
}

func (a *app) details(ctx context.Context, id string) (d details, err error) {
	if d.User, err = a.store.LoadUser(ctx, id); err != nil {
		return d, err
	}
	d.Title = name(d.User)
	if d.Logins, err = a.manager.Logins(ctx, id); err != nil {
		return d, err
	}
	d.Factors, err = a.manager.FactorsOf(ctx, d.User)
	return d, err
}

// name returns the best name that a user has.
func name(user *User) string {
	switch {
	case user.Username != "":
		return user.Username
	case user.Email != "":
		return user.Email
	}
	return "User " + user.ID // the account was closed
}

func (a *app) show(w http.ResponseWriter, r *http.Request, status int, result string) {
	d, err := a.details(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, auth.ErrUserNotFound):
		http.NotFound(w, r)
		return
	case err != nil:
		a.manager.Error(w, r, err)
		return
	}
	d.Result = result
	for _, act := range a.acts() { // those of each login are in the list of logins
		if act.Name != "end-login" && a.manager.Can(r.Context(), act.Needs) {
			d.Acts = append(d.Acts, act)
		}
	}
	a.render(w, r, status, "user.html", d)
}

// do returns the handler of an act. Its answer is the page of the user, with the
// result. The browser gets no redirect, because a one-time code must not be kept for a
// second request.
func (a *app) do(act act) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, err := because(r.Context(), r.PostFormValue("reason"))
		var result string
		if err == nil {
			var user *User
			if user, err = a.store.LoadUser(ctx, r.PathValue("id")); err == nil {
				result, err = act.do(ctx, user, strings.TrimSpace(r.PostFormValue("arg")))
			}
		}
		switch status := refused(err); {
		case err == nil:
			a.show(w, r, http.StatusOK, result)
		case status != 0:
			a.show(w, r, status, err.Error())
		default: // to the refresh page, 403, 404, 503
			a.manager.Error(w, r, err)
		}
	}
}

// refused returns the status of an answer that tells the administrator what is wrong,
// or 0 for other errors.
func refused(err error) int {
	conflict := func(target error) bool { return errors.Is(err, target) }
	if slices.ContainsFunc([]error{auth.ErrLastAdmin, auth.ErrUsernameTaken, auth.ErrEmailTaken, auth.ErrLastWayIn}, conflict) {
		return http.StatusConflict
	}
	if slices.ContainsFunc([]error{errNoReason, auth.ErrUnknownRole, auth.ErrInvalidUsername, auth.ErrInvalidEmail, auth.ErrLoginNotFound}, conflict) {
		return http.StatusUnprocessableEntity
	}
	return 0
}

// impersonate lets the administrator act as the user. The layout shows it, with a
// button that ends it.
func (a *app) impersonate(w http.ResponseWriter, r *http.Request) {
	ctx, err := because(r.Context(), r.PostFormValue("reason"))
	if err == nil {
		err = a.manager.Impersonate(ctx, r.PathValue("id"))
	}
	switch status := refused(err); {
	case err == nil:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case status != 0:
		a.show(w, r, status, err.Error())
	default:
		a.manager.Error(w, r, err)
	}
}
