package pages

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-login/auth"
)

// None is the text that says nothing: as a message it is no message, as a link
// no link. Where a text must be, in titles, buttons, labels and errors, New
// refuses it.
const None = "-"

// Texts are the words of the pages, as plain text. An empty one is the English
// default, which stands beside it.
type Texts struct {
	Lang string // en: the language of the pages, as in HTML's lang

	// Titles and headings.
	LoginTitle    string // Log In
	RegisterTitle string // Register
	ForgotTitle   string // Reset Password
	ResetTitle    string // Reset Password
	AccountTitle  string // Account
	PasswordTitle string // Change Password

	// Buttons.
	LoginButton    string // Log In
	RegisterButton string // Register
	ForgotButton   string // Request Password Reset
	ResetButton    string // Reset Password
	PasswordButton string // Change Password
	LogoutButton   string // Log Out

	// Labels of fields.
	Login              string // Username or Email; or what Config.Identifiers of package auth leaves of it
	Username           string // Username
	Email              string // Email
	Password           string // Password
	ConfirmPassword    string // Confirm Password
	NewPassword        string // New Password
	ConfirmNewPassword string // Confirm New Password
	CurrentPassword    string // Current Password
	RememberMe         string // Remember Me
	Optional           string // (optional): after the label of a field that may stay empty; may be None

	// Links, and what comes before them. These may be None.
	Home          string // Home
	HaveAccount   string // Already have an account?
	LoginLink     string // Log In
	NoAccount     string // Don't have an account?
	RegisterLink  string // Register
	ForgotLink    string // Forgot your password?
	ForgotExplain string // Enter your email address, and we will send you a link that sets a new password.

	// Messages on the next page, which may be None. Their categories are success (Registered,
	// ResetDone, PasswordChanged), info (LoggedOut, ResetSent) and warning
	// (InvalidToken).
	Registered      string // Your account has been created! You can now log in.
	LoggedOut       string // You have been logged out.
	ResetSent       string // Check your email for instructions to reset your password.
	InvalidToken    string // Invalid or expired token
	ResetDone       string // Your password has been reset.
	PasswordChanged string // Your password has been changed.

	// What is wrong with a form, and with its fields.
	LoginFailed      string // Invalid username, email or password; or what Config.Identifiers leaves of it
	Problems         string // Please correct the following: (above the list)
	Required         string // This field is required.
	UsernameLength   string // The username must have {min} to {max} characters.
	UsernameInvalid  string // The username must not have spaces, an @ or special characters.
	UsernameTaken    string // Username already taken. Please choose a different one.
	EmailInvalid     string // Invalid email address.
	EmailTaken       string // Email already registered. Please use a different one.
	NotText          string // This has characters that are not text.
	PasswordMismatch string // The passwords do not match.
	PasswordWrong    string // This is not your current password.
	PasswordTooShort string // The password must have at least {min} characters.
	PasswordTooLong  string // The password is too long.
	PasswordNotText  string // The password has characters that are not text.
	PasswordCommon   string // Many people use this password, so it is easy to guess.
	PasswordPersonal string // This password is a name that is easy to guess.

	// Titles of pages about requests that cannot be served.
	BadRequest       string // The form cannot be read
	NotFound         string // Page not found
	MethodNotAllowed string // This is not possible here
	TooLarge         string // The form is too large
}

func defaultTexts(login auth.Identifiers) Texts {
	t := Texts{
		Lang:          "en",
		LoginTitle:    "Log In",
		RegisterTitle: "Register",
		ForgotTitle:   "Reset Password",
		ResetTitle:    "Reset Password",
		AccountTitle:  "Account",
		PasswordTitle: "Change Password",

		LoginButton:    "Log In",
		RegisterButton: "Register",
		ForgotButton:   "Request Password Reset",
		ResetButton:    "Reset Password",
		PasswordButton: "Change Password",
		LogoutButton:   "Log Out",

		Login:              "Username or Email",
		Username:           "Username",
		Email:              "Email",
		Password:           "Password",
		ConfirmPassword:    "Confirm Password",
		NewPassword:        "New Password",
		ConfirmNewPassword: "Confirm New Password",
		CurrentPassword:    "Current Password",
		RememberMe:         "Remember Me",
		Optional:           "(optional)",

		Home:          "Home",
		HaveAccount:   "Already have an account?",
		LoginLink:     "Log In",
		NoAccount:     "Don't have an account?",
		RegisterLink:  "Register",
		ForgotLink:    "Forgot your password?",
		ForgotExplain: "Enter your email address, and we will send you a link that sets a new password.",

		Registered:      "Your account has been created! You can now log in.",
		LoggedOut:       "You have been logged out.",
		ResetSent:       "Check your email for instructions to reset your password.",
		InvalidToken:    "Invalid or expired token",
		ResetDone:       "Your password has been reset.",
		PasswordChanged: "Your password has been changed.",

		LoginFailed:      "Invalid username, email or password",
		Problems:         "Please correct the following:",
		Required:         "This field is required.",
		UsernameLength:   "The username must have {min} to {max} characters.",
		UsernameInvalid:  "The username must not have spaces, an @ or special characters.",
		UsernameTaken:    "Username already taken. Please choose a different one.",
		EmailInvalid:     "Invalid email address.",
		EmailTaken:       "Email already registered. Please use a different one.",
		NotText:          "This has characters that are not text.",
		PasswordMismatch: "The passwords do not match.",
		PasswordWrong:    "This is not your current password.",
		PasswordTooShort: "The password must have at least {min} characters.",
		PasswordTooLong:  "The password is too long.",
		PasswordNotText:  "The password has characters that are not text.",
		PasswordCommon:   "Many people use this password, so it is easy to guess.",
		PasswordPersonal: "This password is a name that is easy to guess.",

		BadRequest:       "The form cannot be read",
		NotFound:         "Page not found",
		MethodNotAllowed: "This is not possible here",
		TooLarge:         "The form is too large",
	}
	switch login {
	case auth.UsernameOnly:
		t.Login, t.LoginFailed = "Username", "Invalid username or password"
	case auth.EmailOnly:
		t.Login, t.LoginFailed = "Email", "Invalid email or password"
	}
	return t
}

// or returns t with the texts of defaults where t has none, and empty ones
// where it has None.
func (t Texts) or(defaults Texts) (Texts, error) {
	optional := []string{
		"Optional", "Home", "HaveAccount", "LoginLink", "NoAccount", "RegisterLink", "ForgotLink", "ForgotExplain",
		"Registered", "LoggedOut", "ResetSent", "InvalidToken", "ResetDone", "PasswordChanged",
	}
	texts, others := reflect.ValueOf(&t).Elem(), reflect.ValueOf(defaults)
	for i := range texts.NumField() {
		switch name := texts.Type().Field(i).Name; texts.Field(i).String() {
		case "":
			texts.Field(i).Set(others.Field(i))
		case None:
			if !slices.Contains(optional, name) {
				return t, fmt.Errorf("pages: Texts.%s cannot be None", name)
			}
			texts.Field(i).SetString("")
		}
	}
	return t, nil
}

// password says why a new password is refused. Config.PasswordCheck of package
// auth has its own words.
func (t *Texts) password(err *auth.PasswordError) string {
	switch err.Reason {
	case auth.PasswordTooShort:
		return strings.ReplaceAll(t.PasswordTooShort, "{min}", strconv.Itoa(err.Min))
	case auth.PasswordTooLong:
		return t.PasswordTooLong
	case auth.PasswordNotText:
		return t.PasswordNotText
	case auth.PasswordCommon:
		return t.PasswordCommon
	case auth.PasswordPersonal:
		return t.PasswordPersonal
	}
	return err.Error()
}

func (t *Texts) usernameLength(least, most int) string {
	return strings.NewReplacer("{min}", strconv.Itoa(least), "{max}", strconv.Itoa(most)).Replace(t.UsernameLength)
}
