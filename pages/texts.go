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
	SessionsTitle string // Where You Are Logged In
	RefreshTitle  string // Confirm Your Password
	VerifyTitle   string // Verify Your Email
	EmailTitle    string // Change Email
	ConfirmTitle  string // Confirm Your New Email
	UndoTitle     string // Change Your Email Back
	CloseTitle    string // Close Account
	SwitchTitle   string // You Are Already Logged In

	// Buttons.
	LoginButton    string // Log In
	RegisterButton string // Register
	ForgotButton   string // Request Password Reset
	ResetButton    string // Reset Password
	PasswordButton string // Change Password
	LogoutButton   string // Log Out
	OthersButton   string // Log Out All Other Browsers
	RefreshButton  string // Confirm
	VerifyButton   string // Verify My Address
	ResendButton   string // Send the Link
	EmailButton    string // Send a Link
	ConfirmButton  string // Use This Address
	UndoButton     string // Change It Back
	CloseButton    string // Close Account
	SwitchButton   string // Log Out and Continue

	// Labels of fields.
	Login              string // Username or Email; or what Config.Identifiers of package auth leaves of it
	Username           string // Username
	Email              string // Email
	Password           string // Password
	ConfirmPassword    string // Confirm Password
	NewPassword        string // New Password
	ConfirmNewPassword string // Confirm New Password
	CurrentPassword    string // Current Password
	NewEmail           string // New Email
	CloseConfirm       string // Close my account for good
	RememberMe         string // Remember Me
	Optional           string // (optional): after the label of a field that may stay empty; may be None

	// The list of logins.
	Browser         string // {browser} on {system}
	UnknownBrowser  string // Unknown browser: for a client that does not say what it is
	ThisBrowser     string // This browser: the one that shows the page
	Address         string // IP Address
	LastSeen        string // Last Seen
	LoggedInSince   string // Logged In Since
	RememberedUntil string // Remembered Until
	Time            string // 2006-01-02 15:04 UTC: how times are written, as a layout of package time; they are in UTC
	SessionsExplain string // These browsers are logged in to your account. Log out those that you do not know. May be None

	// What is said of an address.
	EmailVerified   string // verified
	EmailUnverified string // not verified
	VerifyExplain   string // If this is the account that you have registered, verify its address. If it is not, do nothing: somebody else has made it, and knows its password.

	// Who is logged in, on pages that may be about another account. {user} is the
	// account's username or, if it has none, its address. LoggedInAs and ResetExplain
	// may be None.
	LoggedInAs    string // You are logged in as {user}.
	ResetExplain  string // The new password is for the account {user}. It will be logged out in all browsers.
	SwitchExplain string // You are logged in as {user}. To use another account, log out first.
	OtherUser     string // You are now logged in as {user}. This form was opened by another account. Nothing was changed.

	// Links, and what comes before them. These may be None.
	Home           string // Home
	HaveAccount    string // Already have an account?
	LoginLink      string // Log In
	NoAccount      string // Don't have an account?
	RegisterLink   string // Register
	ForgotLink     string // Forgot your password?
	ForgotExplain  string // Enter your email address, and we will send you a link that sets a new password.
	ResendLink     string // Send the verification email again
	ResendExplain  string // Enter the email address of your account, and we will send you a link that verifies it.
	EmailExplain   string // We will send a link to the new address. Nothing changes before you have opened it.
	ConfirmExplain string // Your account will have the new address, and other browsers will be logged out.
	OtherEmailLink string // Use another address
	UndoExplain    string // Your account will have this address again. Everybody who is logged in to it will be logged out, and you will choose a new password.
	CloseExplain   string // Nobody can log in to a closed account any more, and it cannot be opened again.
	StayLink       string // Stay logged in as {user}

	// Messages on the next page, which may be None. Their categories are success
	// (Registered, ResetDone, ResetOther, PasswordChanged, LoginEnded, OthersEnded, Verified,
	// EmailChanged, EmailUndone, Closed), info (LoggedOut, ResetSent, RegisterMailed,
	// VerifySent, EmailSent, ResetUsed, VerifyUsed, EmailUsed, UndoUsed) and warning (InvalidToken; EmailTaken, too, if it is
	// found out only after the link).
	Registered      string // Your account has been created! You can now log in.
	LoggedOut       string // You have been logged out.
	ResetSent       string // Check your email for instructions to reset your password.
	InvalidToken    string // Invalid or expired token
	ResetDone       string // Your password has been reset.
	ResetOther      string // The password has been reset. You are still logged in to another account.
	PasswordChanged string // Your password has been changed.
	LoginEnded      string // The browser has been logged out.
	OthersEnded     string // All other browsers have been logged out.
	RegisterMailed  string // Check your email to finish your registration.
	VerifySent      string // Check your email for a link that verifies your address.
	Verified        string // Your email address has been verified.
	EmailSent       string // Check the email of the new address for a link.
	EmailChanged    string // Your email address has been changed.
	EmailUndone     string // Your email address has been changed back. Please choose a new password.
	Closed          string // Your account has been closed.
	ResetUsed       string // This link has already been used. You can log in with your new password.
	VerifyUsed      string // This link has already been used: your email address has been verified. You can log in.
	EmailUsed       string // This link has already been used: your email address has been changed.
	UndoUsed        string // This link has already been used: your email address has been changed back. Ask for a link that sets a new password.

	// LoginFailed is the one text for all logins that are refused. Another text for
	// each reason would tell who has an account, so it must be true for all of them.
	// By default it is: We could not log you in. Check both your username or email
	// and your password. After several wrong tries, you may have to wait. (With
	// RequireVerified of auth.Config:) If your account is new, first open the link
	// that we mailed to you. (With a Mailer:) If that does not help, reset your
	// password. "username or email" is what Identifiers of auth.Config leaves of it.
	LoginFailed string

	// What is wrong with a form, and with its fields.
	Problems         string // Please correct the following: (above the list)
	Required         string // This field is required.
	UsernameLength   string // The username must have {min} to {max} characters.
	UsernameInvalid  string // The username must not have spaces, an @ or special characters.
	UsernameTaken    string // Username already taken. Please choose a different one.
	EmailInvalid     string // Invalid email address.
	EmailTaken       string // Email already registered. Please use a different one.
	EmailSame        string // This is your email address already.
	NotText          string // This has characters that are not text.
	PasswordMismatch string // The passwords do not match.
	PasswordWrong    string // This is not your current password.
	PasswordTooShort string // The password must have at least {min} characters.
	PasswordTooLong  string // The password is too long.
	PasswordNotText  string // The password has characters that are not text.
	PasswordCommon   string // Many people use this password, so it is easy to guess.
	PasswordPersonal string // This password is a name that is easy to guess.
	PasswordBreached string // This password has been in a data breach, so others may know it.

	// Titles of pages about requests that cannot be served.
	BadRequest       string // The form cannot be read
	NotFound         string // Page not found
	MethodNotAllowed string // This is not possible here
	NotAForm         string // This page takes HTML forms only, and no files
	FormBusy         string // This form is being processed. Reload the page in a moment
	TooLarge         string // The form is too large
	TooMany          string // Too many attempts. Please try again later
}

// loginFailed is LoginFailed by default; names are what people log in with.
func loginFailed(names string, verify, mails bool) string {
	text := "We could not log you in. Check both your " + names + " and your password. After several wrong tries, you may have to wait."
	if verify {
		text += " If your account is new, first open the link that we mailed to you."
	}
	if mails {
		text += " If that does not help, reset your password."
	}
	return text
}

func defaultTexts(core *auth.Core, mails bool) Texts {
	t := Texts{
		Lang:          "en",
		LoginTitle:    "Log In",
		RegisterTitle: "Register",
		ForgotTitle:   "Reset Password",
		ResetTitle:    "Reset Password",
		AccountTitle:  "Account",
		PasswordTitle: "Change Password",
		SessionsTitle: "Where You Are Logged In",
		RefreshTitle:  "Confirm Your Password",
		VerifyTitle:   "Verify Your Email",
		EmailTitle:    "Change Email",
		ConfirmTitle:  "Confirm Your New Email",
		UndoTitle:     "Change Your Email Back",
		CloseTitle:    "Close Account",
		SwitchTitle:   "You Are Already Logged In",

		LoginButton:    "Log In",
		RegisterButton: "Register",
		ForgotButton:   "Request Password Reset",
		ResetButton:    "Reset Password",
		PasswordButton: "Change Password",
		LogoutButton:   "Log Out",
		OthersButton:   "Log Out All Other Browsers",
		RefreshButton:  "Confirm",
		VerifyButton:   "Verify My Address",
		ResendButton:   "Send the Link",
		EmailButton:    "Send a Link",
		ConfirmButton:  "Use This Address",
		UndoButton:     "Change It Back",
		CloseButton:    "Close Account",
		SwitchButton:   "Log Out and Continue",

		Login:              "Username or Email",
		Username:           "Username",
		Email:              "Email",
		Password:           "Password",
		ConfirmPassword:    "Confirm Password",
		NewPassword:        "New Password",
		ConfirmNewPassword: "Confirm New Password",
		CurrentPassword:    "Current Password",
		NewEmail:           "New Email",
		CloseConfirm:       "Close my account for good",
		RememberMe:         "Remember Me",
		Optional:           "(optional)",

		Browser:         "{browser} on {system}",
		UnknownBrowser:  "Unknown browser",
		ThisBrowser:     "This browser",
		Address:         "IP Address",
		LastSeen:        "Last Seen",
		LoggedInSince:   "Logged In Since",
		RememberedUntil: "Remembered Until",
		Time:            "2006-01-02 15:04 UTC",
		SessionsExplain: "These browsers are logged in to your account. Log out those that you do not know.",

		EmailVerified:   "verified",
		EmailUnverified: "not verified",
		VerifyExplain:   "If this is the account that you have registered, verify its address. If it is not, do nothing: somebody else has made it, and knows its password.",

		LoggedInAs:    "You are logged in as {user}.",
		ResetExplain:  "The new password is for the account {user}. It will be logged out in all browsers.",
		SwitchExplain: "You are logged in as {user}. To use another account, log out first.",
		OtherUser:     "You are now logged in as {user}. This form was opened by another account. Nothing was changed.",

		Home:           "Home",
		HaveAccount:    "Already have an account?",
		LoginLink:      "Log In",
		NoAccount:      "Don't have an account?",
		RegisterLink:   "Register",
		ForgotLink:     "Forgot your password?",
		ForgotExplain:  "Enter your email address, and we will send you a link that sets a new password.",
		ResendLink:     "Send the verification email again",
		ResendExplain:  "Enter the email address of your account, and we will send you a link that verifies it.",
		EmailExplain:   "We will send a link to the new address. Nothing changes before you have opened it.",
		ConfirmExplain: "Your account will have the new address, and other browsers will be logged out.",
		OtherEmailLink: "Use another address",
		UndoExplain:    "Your account will have this address again. Everybody who is logged in to it will be logged out, and you will choose a new password.",
		CloseExplain:   "Nobody can log in to a closed account any more, and it cannot be opened again.",
		StayLink:       "Stay logged in as {user}",

		Registered:      "Your account has been created! You can now log in.",
		LoggedOut:       "You have been logged out.",
		ResetSent:       "Check your email for instructions to reset your password.",
		InvalidToken:    "Invalid or expired token",
		ResetDone:       "Your password has been reset.",
		ResetOther:      "The password has been reset. You are still logged in to another account.",
		PasswordChanged: "Your password has been changed.",
		LoginEnded:      "The browser has been logged out.",
		OthersEnded:     "All other browsers have been logged out.",
		RegisterMailed:  "Check your email to finish your registration.",
		VerifySent:      "Check your email for a link that verifies your address.",
		Verified:        "Your email address has been verified.",
		EmailSent:       "Check the email of the new address for a link.",
		EmailChanged:    "Your email address has been changed.",
		EmailUndone:     "Your email address has been changed back. Please choose a new password.",
		Closed:          "Your account has been closed.",
		ResetUsed:       "This link has already been used. You can log in with your new password.",
		VerifyUsed:      "This link has already been used: your email address has been verified. You can log in.",
		EmailUsed:       "This link has already been used: your email address has been changed.",
		UndoUsed:        "This link has already been used: your email address has been changed back. Ask for a link that sets a new password.",

		Problems:         "Please correct the following:",
		Required:         "This field is required.",
		UsernameLength:   "The username must have {min} to {max} characters.",
		UsernameInvalid:  "The username must not have spaces, an @ or special characters.",
		UsernameTaken:    "Username already taken. Please choose a different one.",
		EmailInvalid:     "Invalid email address.",
		EmailTaken:       "Email already registered. Please use a different one.",
		EmailSame:        "This is your email address already.",
		NotText:          "This has characters that are not text.",
		PasswordMismatch: "The passwords do not match.",
		PasswordWrong:    "This is not your current password.",
		PasswordTooShort: "The password must have at least {min} characters.",
		PasswordTooLong:  "The password is too long.",
		PasswordNotText:  "The password has characters that are not text.",
		PasswordCommon:   "Many people use this password, so it is easy to guess.",
		PasswordPersonal: "This password is a name that is easy to guess.",
		PasswordBreached: "This password has been in a data breach, so others may know it.",

		BadRequest:       "The form cannot be read",
		NotFound:         "Page not found",
		MethodNotAllowed: "This is not possible here",
		NotAForm:         "This page takes HTML forms only, and no files",
		FormBusy:         "This form is being processed. Reload the page in a moment",
		TooLarge:         "The form is too large",
		TooMany:          "Too many attempts. Please try again later",
	}
	names := "username or email"
	switch core.Identifiers() {
	case auth.UsernameOnly:
		t.Login, names = "Username", "username"
	case auth.EmailOnly:
		t.Login, names = "Email", "email"
	}
	t.LoginFailed = loginFailed(names, core.RequiresVerified(), mails)
	return t
}

// or returns t with the texts of defaults where t has none, and empty ones
// where it has None.
func (t Texts) or(defaults Texts) (Texts, error) {
	optional := []string{
		"Optional", "Home", "HaveAccount", "LoginLink", "NoAccount", "RegisterLink", "ForgotLink", "ForgotExplain",
		"Registered", "LoggedOut", "ResetSent", "InvalidToken", "ResetDone", "ResetOther", "PasswordChanged",
		"LoggedInAs", "ResetExplain", "StayLink",
		"SessionsExplain", "LoginEnded", "OthersEnded",
		"ResendLink", "ResendExplain", "EmailExplain", "ConfirmExplain", "OtherEmailLink", "UndoExplain", "CloseExplain",
		"RegisterMailed", "VerifySent", "Verified", "EmailSent", "EmailChanged", "EmailUndone", "Closed",
		"ResetUsed", "VerifyUsed", "EmailUsed", "UndoUsed",
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
	case auth.PasswordBreached:
		return t.PasswordBreached
	}
	return err.Error()
}

func (t *Texts) usernameLength(least, most int) string {
	return strings.NewReplacer("{min}", strconv.Itoa(least), "{max}", strconv.Itoa(most)).Replace(t.UsernameLength)
}
