package pages

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-login/auth"
)

// None is the text for a message or a link that the pages do not show. Titles, buttons,
// labels and errors must have a text: there New returns an error for None.
const None = "-"

// Texts are the words of the pages, as plain text. If a field is empty, the pages use
// the English default in its comment.
type Texts struct {
	Lang string // en: the language of the pages, as in HTML's lang

	// Titles and headings.
	LoginTitle     string // Log In
	RegisterTitle  string // Register
	ForgotTitle    string // Reset Password
	ResetTitle     string // Reset Password
	AccountTitle   string // Account
	PasswordTitle  string // Change Password
	SessionsTitle  string // Where You Are Logged In
	RefreshTitle   string // Confirm Your Password
	VerifyTitle    string // Verify Your Email
	EmailTitle     string // Change Email
	ConfirmTitle   string // Confirm Your New Email
	UndoTitle      string // Change Your Email Back
	CloseTitle     string // Close Account
	SwitchTitle    string // You Are Already Logged In
	FactorTitle    string // Confirm It Is You
	TwoFactorTitle string // Two-Factor Login
	SetupTitle     string // Set Up: {factor}: {factor} stands for its name
	CodesTitle     string // Recovery Codes

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
	FactorButton   string // Continue
	CancelButton   string // Cancel
	SetupButton    string // Set Up
	EnrollButton   string // Turn On
	RemoveButton   string // Remove
	DistrustButton string // Ask in All Browsers: ends the trust in all browsers
	UnlockButton   string // Accept Codes Again: for a factor that accepts no codes any more
	CodesButton    string // Make New Codes

	// Labels of fields.
	Login              string // Username or Email; only one of the two if Identifiers of auth.Config allows only one
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
	Optional           string // (optional): follows the label of a field that may stay empty; may be None

	// The list of logins.
	Browser         string // {browser} on {system}
	UnknownBrowser  string // Unknown browser: for a client that sends no User-Agent
	ThisBrowser     string // This browser: marks the browser that shows the page
	Address         string // IP Address
	LastSeen        string // Last Seen
	LoggedInSince   string // Logged In Since
	RememberedUntil string // Remembered Until
	Time            string // 2006-01-02 15:04 UTC: how times are written, as a layout of package time; the times are in UTC
	SessionsExplain string // These browsers are logged in to your account. Log out those that you do not know. May be None

	// The state of an address.
	EmailVerified   string // verified
	EmailUnverified string // not verified
	VerifyExplain   string // If this is the account that you have registered, verify its address. If it is not, do nothing: somebody else has made it, and knows its password.

	// Who is logged in, on pages that may be about another account. {user} stands for the
	// account's username or, if it has none, for its address. LoggedInAs and ResetExplain
	// may be None.
	LoggedInAs    string // You are logged in as {user}.
	ResetExplain  string // The new password is for the account {user}. It will be logged out in all browsers.
	SwitchExplain string // You are logged in as {user}. To use another account, log out first.
	OtherUser     string // You are now logged in as {user}. This form was opened by another account. Nothing was changed.

	// Second factors. TOTPName is the name of the factor "totp", and RecoveryName that of the
	// only backup factor. Other factors are shown by their names in auth.Config. {user} and
	// {left} stand for the account and for the number of recovery codes. TwoFactorExplain,
	// SetupExplain and CodesExplain may be None.
	TOTPName            string // Authenticator app
	RecoveryName        string // Recovery codes
	TOTPCode            string // Code from your authenticator app: the label of its field
	RecoveryCode        string // Recovery code: likewise
	FactorCode          string // Code: the label of every other factor
	FactorExplain       string // To go on as {user}, confirm once more that it is you.
	TrustBrowser        string // Do not ask in this browser for {left} days
	TrustedBrowsers     string // Browsers that are not asked for a code: {left}.
	OtherFactors        string // Try another way
	FactorOn            string // on
	FactorOff           string // off
	FactorLocked        string // There were too many wrong codes. No code is accepted any more until you allow it again.
	TwoFactorExplain    string // With a second factor, nobody can log in to your account by its password alone.
	TwoFactorUnverified string // Before you set up a second factor, verify your email address.
	SetupExplain        string // Scan the picture with the app, or type the key into it. Then enter the code that the app shows.
	SetupPicture        string // QR code: for those who do not see the picture
	SetupSecret         string // Key
	SetupLink           string // Open the app on this device
	CodesLeft           string // Recovery codes left: {left}.
	CodesFew            string // Recovery codes left: {left}. Make new ones soon.
	CodesNone           string // You have no recovery codes. If you lose your second factor, you cannot log in.
	CodesExplain        string // If you have lost your second factor, a recovery code logs you in. Each one works once. New codes replace the old ones.
	CodesKeep           string // Keep them somewhere safe; they are shown only once.
	CodesDownload       string // Download
	CodesSaved          string // I have saved them

	// Links, and the texts beside them. These may be None.
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

	// Messages on the page that a form or a link leads to. These may be None. Each message has one of three
	// categories:
	//
	//   - success: Registered, ResetDone, ResetOther, PasswordChanged, LoginEnded,
	//     OthersEnded, Verified, EmailChanged, EmailUndone, Closed, FactorAdded,
	//     FactorRemoved, FactorUnlocked, BrowsersDistrusted.
	//   - info: LoggedOut, ResetSent, RegisterMailed, VerifySent, EmailSent, ResetUsed,
	//     VerifyUsed, EmailUsed, UndoUsed, LoginCancelled.
	//   - warning: InvalidToken, LoginAgain, RefreshAgain; and EmailTaken, if an account gets the address between
	//     the mail and the click on its link.
	Registered         string // Your account has been created! You can now log in.
	LoggedOut          string // You have been logged out.
	ResetSent          string // Check your email for instructions to reset your password.
	InvalidToken       string // Invalid or expired token
	ResetDone          string // Your password has been reset.
	ResetOther         string // The password has been reset. You are still logged in to another account.
	PasswordChanged    string // Your password has been changed.
	LoginEnded         string // The browser has been logged out.
	OthersEnded        string // All other browsers have been logged out.
	RegisterMailed     string // Check your email to finish your registration.
	VerifySent         string // Check your email for a link that verifies your address.
	Verified           string // Your email address has been verified.
	EmailSent          string // Check the email of the new address for a link.
	EmailChanged       string // Your email address has been changed.
	EmailUndone        string // Your email address has been changed back. Please choose a new password.
	Closed             string // Your account has been closed.
	ResetUsed          string // This link has already been used. You can log in with your new password.
	VerifyUsed         string // This link has already been used: your email address has been verified. You can log in.
	EmailUsed          string // This link has already been used: your email address has been changed.
	UndoUsed           string // This link has already been used: your email address has been changed back. Ask for a link that sets a new password.
	LoginAgain         string // Please log in again.
	RefreshAgain       string // Please confirm your password again.
	LoginCancelled     string // The login has been cancelled.
	FactorAdded        string // The second factor is set up. Other browsers have been logged out.
	FactorRemoved      string // The second factor has been removed. Other browsers have been logged out.
	FactorUnlocked     string // Codes are accepted again.
	BrowsersDistrusted string // All browsers will be asked for a code again.

	// LoginFailed is the text for every login that is refused. A text for each reason
	// would tell who has an account, so this one must be true for all reasons. The
	// default is: We could not log you in. Check both your username or email and your
	// password. After several wrong tries, you may have to wait. (With RequireVerified of
	// auth.Config:) If your account is new, first open the link that we mailed to you.
	// (With a Mailer:) If that does not help, reset your password. If Identifiers of
	// auth.Config allows only one of the two, "username or email" is only that one.
	LoginFailed string

	// Errors of a form, and of its fields.
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
	FactorWrong      string // That code was wrong or has been used. Wait for the next one.
	RecoveryWrong    string // That recovery code was wrong or has been used. Use another one.

	// Titles of error pages.
	BadRequest       string // The form cannot be read
	NotFound         string // Page not found
	MethodNotAllowed string // This is not possible here
	NotAForm         string // This page takes HTML forms only, and no files
	FormBusy         string // This form is being processed. Reload the page in a moment
	TooLarge         string // The form is too large
	TooMany          string // Too many attempts. Please try again later
}

// A text is a field of Texts and its default.
type text struct {
	field    *string
	english  string
	optional bool // the field may be None
}

func must(field *string, english string) text { return text{field, english, false} }
func may(field *string, english string) text  { return text{field, english, true} }

// sharedTexts are the texts that belong to no single page.
func (p *Pages) sharedTexts() []text {
	t := &p.texts
	return []text{
		must(&t.Lang, "en"),
		may(&t.Home, "Home"),
		may(&t.LoginLink, "Log In"),
		may(&t.RegisterLink, "Register"),
		may(&t.LoggedInAs, "You are logged in as {user}."),
		must(&t.OtherUser, "You are now logged in as {user}. This form was opened by another account. Nothing was changed."),
		must(&t.Username, "Username"),
		must(&t.Email, "Email"),
		must(&t.Password, "Password"),
		must(&t.NewPassword, "New Password"),
		must(&t.ConfirmNewPassword, "Confirm New Password"),
		must(&t.CurrentPassword, "Current Password"),
		may(&t.InvalidToken, "Invalid or expired token"),
		must(&t.Problems, "Please correct the following:"),
		must(&t.Required, "This field is required."),
		must(&t.EmailInvalid, "Invalid email address."),
		must(&t.EmailTaken, "Email already registered. Please use a different one."),
		must(&t.PasswordMismatch, "The passwords do not match."),
		must(&t.PasswordWrong, "This is not your current password."),
		must(&t.PasswordTooShort, "The password must have at least {min} characters."),
		must(&t.PasswordTooLong, "The password is too long."),
		must(&t.PasswordNotText, "The password has characters that are not text."),
		must(&t.PasswordCommon, "Many people use this password, so it is easy to guess."),
		must(&t.PasswordPersonal, "This password is a name that is easy to guess."),
		must(&t.PasswordBreached, "This password has been in a data breach, so others may know it."),
	}
}

// setTexts gives every empty text its default, and makes every text that is None empty.
func (p *Pages) setTexts() error {
	texts := p.sharedTexts()
	for _, page := range p.table {
		texts = append(texts, page.texts...)
	}
	for _, text := range texts {
		switch *text.field {
		case "":
			*text.field = text.english
		case None:
			if !text.optional {
				return fmt.Errorf("pages: Texts.%s cannot be None", p.texts.nameOf(text.field))
			}
			*text.field = ""
		}
	}
	return nil
}

// nameOf returns the name of a field.
func (t *Texts) nameOf(field *string) string {
	fields := reflect.ValueOf(t).Elem()
	for i := range fields.NumField() {
		if fields.Field(i).Addr().Interface() == field {
			return fields.Type().Field(i).Name
		}
	}
	return ""
}

// password returns the text that says why a new password is refused. For a refusal by
// Password.Check of auth.Config, that is the check's own error.
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
