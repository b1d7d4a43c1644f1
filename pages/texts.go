package pages

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// None is the text for a message or a link that the pages do not show. Titles, buttons,
// labels and errors must have a text: there New returns an error for None.
const None = "-"

// Texts are the words of the pages, as plain text. If a field is empty, the pages use the
// English default in its comment or, in German and Spanish, its translation: see Languages of
// auth.Config.
type Texts struct {
	Lang string // en: the language of the pages, as in HTML's lang
	Dir  string // ltr: the direction of its script, as in HTML's dir: ltr or rtl

	// What the layout says.
	ErrorTitle string // Error: {title}: the title in the browser's tab, if something was not accepted
	HeaderUser string // Logged in as {user}: at the top of every page for users; may be None

	// Titles and headings.
	LoginTitle        string // Log in
	RegisterTitle     string // Create your account
	ForgotTitle       string // Reset your password
	ResetTitle        string // Choose a new password
	AccountTitle      string // Account
	PasswordTitle     string // Change your password
	SessionsTitle     string // Where you are logged in
	RefreshTitle      string // Confirm your password
	VerifyTitle       string // Verify your email address
	EmailTitle        string // Change your email address
	ConfirmTitle      string // Confirm your new email address
	UndoTitle         string // Change your email address back
	CloseTitle        string // Close your account
	SwitchTitle       string // You are already logged in
	FactorTitle       string // Confirm that it is you
	TwoFactorTitle    string // Two-factor login
	SetupTitle        string // Set up: {factor}: {factor} stands for its name
	CodesTitle        string // Recovery codes
	MailLoginTitle    string // Log in by email
	MailLinkTitle     string // Log in
	PasskeysTitle     string // Passkeys
	IdentitiesTitle   string // Connected accounts
	PasskeyAddTitle   string // Add a passkey
	PasskeyOfferTitle string // Log in without a password next time?
	PasskeyRename     string // Rename: also a button
	SetPasswordTitle  string // Set a password: also a button
	DropPasswordTitle string // Log in without a password
	ClosedTitle       string // Account closed

	// Buttons.
	LoginButton        string // Log in
	RegisterButton     string // Create account
	ForgotButton       string // Email me a link
	ResetButton        string // Set new password
	PasswordButton     string // Change password
	LogoutButton       string // Log out
	OthersButton       string // Log out all other browsers
	RefreshButton      string // Confirm
	VerifyButton       string // Verify my address
	ResendButton       string // Email me a link
	EmailButton        string // Email a link to this address
	ConfirmButton      string // Use this address
	UndoButton         string // Change it back
	CloseButton        string // Close account
	SwitchButton       string // Log out and continue
	FactorButton       string // Continue
	CancelButton       string // Cancel
	SetupButton        string // Set up
	EnrollButton       string // Turn on
	RemoveButton       string // Remove
	DistrustButton     string // Ask for a code in all browsers: ends the trust in all browsers
	TrustEndButton     string // Ask for a code again: ends the trust in one browser
	UnlockButton       string // Accept codes again: for a factor that accepts no codes any more
	CodesButton        string // Make new codes
	MailLoginButton    string // Email me a code
	MailCodeButton     string // Log in
	MailLinkButton     string // Log in
	ProviderLogin      string // Continue with {provider}: {provider} stands for the provider's label
	ProviderConfirm    string // Confirm with {provider}
	ProviderConnect    string // Connect {provider}
	IdentityDisconnect string // Disconnect
	PasskeyLogin       string // Log in with a passkey
	PasskeyConfirm     string // Confirm with a passkey
	PasskeyAddButton   string // Add a passkey
	DropPasswordButton string // Remove password
	StopActingButton   string // Stop acting: ends an impersonation

	// Labels of fields.
	Login              string // Username or email; only one of the two if Identifiers of auth.Config allows only one
	Username           string // Username
	Email              string // Email
	Password           string // Password
	ConfirmPassword    string // Confirm password
	NewPassword        string // New password
	ConfirmNewPassword string // Confirm new password
	CurrentPassword    string // Current password
	NewEmail           string // New email
	PasskeyNewName     string // Name
	CloseConfirm       string // Close my account for good
	RememberMe         string // Keep me logged in for {days} days; without a number, if Session.RememberFor of auth.Config is under two days
	ShowPassword       string // Show: the button beside a password; None for no button
	HidePassword       string // Hide: the same button, while the password can be read
	CapsLock           string // Caps lock is on.: under a password; may be None
	Optional           string // (optional): follows the label of a field that may stay empty; may be None

	// The list of logins.
	Browser         string // {browser} on {system}
	UnknownBrowser  string // Unknown browser: for a client that sends no User-Agent
	ThisBrowser     string // This browser: marks the browser that shows the page
	Address         string // IP address
	LastSeen        string // Last seen
	LoggedInSince   string // since
	RememberedUntil string // stays until
	Time            string // 2006-01-02 15:04 UTC: how times are written, as a layout of package time; the times are in UTC
	Date            string // 2 Jan 2006: how days are written, as a layout of package time; the days are those of UTC
	ActiveNow       string // Active now: in place of LastSeen, for the browser that shows the page
	JustNow         string // just now: less than a minute ago
	MinutesAgo      string // {left} min ago
	HoursAgo        string // {left} h ago
	DayAgo          string // 1 day ago
	DaysAgo         string // {left} days ago: 2 to 6; older times are shown as Date
	TrustedTitle    string // Browsers that are not asked for a code
	TrustedSince    string // Trusted since
	TrustedUntil    string // until
	SessionsExplain string // These browsers are logged in to your account. Log out those that you do not know. May be None

	// The account. Change and the two after it are links, which follow what they are about.
	ChangeLink string // Change
	ManageLink string // Manage
	VerifyLink string // Verify
	NoPassword string // None: in place of a password, if the account has none

	// The state of an address.
	EmailVerified   string // Verified
	EmailUnverified string // Not verified
	VerifyExplain   string // If this is the account that you have registered, verify its address. If it is not, do nothing: somebody else has made it, and knows its password.

	// Who is logged in, on pages that may be about another account. {user} stands for the
	// account's username or, if it has none, for its address. LoggedInAs and ResetExplain
	// may be None.
	LoggedInAs    string // You are logged in as {user}.
	ResetExplain  string // The new password is for the account {user}. It will be logged out in all browsers.
	SwitchExplain string // You are logged in as {user}. To use another account, log out first.
	Acting        string // You are acting as {user}. On every page of an impersonation
	ActingStopped string // You are using your own account again. May be None
	ActingLogin   string // An administrator, to help you: marks an impersonation among the user's logins
	OtherUser     string // You are now logged in as {user}. This form was opened by another account. Nothing was changed.

	// Second factors. TOTPName is the name of the factor "totp", and RecoveryName that of the
	// only recovery factor. Other factors are shown by their names in auth.Config. {user} and
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
	FactorLost          string // This site cannot ask for your second factor at the moment, so you cannot log in. Please ask its operators for help.
	FactorOn            string // On
	FactorOff           string // Off
	FactorLocked        string // There were too many wrong codes. No code is accepted any more until you allow it again.
	TwoFactorExplain    string // With a second factor, nobody can log in to your account by its password alone.
	TwoFactorUnverified string // Before you set up a second factor, verify your email address.
	SetupExplain        string // Scan the picture with the app, or type the key into it. Then enter the code that the app shows.
	SetupPicture        string // QR code: for users who cannot see the picture
	SetupSecret         string // Key
	SetupLink           string // Open the app on this device
	CodesLeft           string // Recovery codes left: {left}.
	CodesFew            string // Recovery codes left: {left}. Make new ones soon.
	CodesNone           string // You have no recovery codes. If you lose your second factor, you cannot log in.
	CodesExplain        string // If you have lost your second factor, a recovery code logs you in. Each one works once. New codes replace the old ones.
	CodesKeep           string // Keep them somewhere safe; they are shown only once.
	CodesDownload       string // Download
	CodesCopy           string // Copy
	CodesCopied         string // Copied: after the button Copy was pressed
	CodesPrint          string // Print
	CodesSaved          string // I have saved them

	// Logging in by mail. {address} stands for the address that was typed, and {user} for the
	// account. MailLoginExplain may be None.
	MailCode         string // Code from the email: the label of its field
	MailLoginLink    string // Email me a code that logs me in
	MailLoginExplain string // Enter your email address, and we will send you a code that logs you in.
	MailCodeSent     string // If there is an account with the address {address}, we have sent a code to it. It works in this browser, for 10 minutes.
	MailCodeAgain    string // Send another code
	MailCodeWrong    string // That code was wrong or has expired. You can ask for a new one, or use the link in the email.
	MailLinkExplain  string // This logs you in to the account {user} in this browser.
	MailLinkOther    string // The email was asked for in another browser. Go on only if that was you:
	MailLinkAsked    string // Requested: the label of the time and the browser
	MailLinkClears   string // Nobody has verified the email address of this account yet. The login verifies it, and removes what was set up in the account: its password, logins, second factors and API tokens.

	// After a mail was sent. {address} stands for the address. InboxHelp and InboxAgain may be
	// None. A text for each case would tell who has an account, so these must be true for all.
	ResetSent      string // If there is an account with the address {address}, we have sent a link to it that sets a new password.
	RegisterMailed string // We have sent an email to {address}. It says how to finish your registration.
	VerifySent     string // If there is an account with the address {address} that is not verified yet, we have sent a link to it that verifies the address.
	EmailSent      string // We have sent an email to {address}. Open the link in it to use this address.
	InboxTitle     string // Check your inbox
	InboxHelp      string // If no email comes within a few minutes, look in your spam folder, and check that the address is right.
	InboxButton    string // Send it again
	InboxOther     string // Use another address
	InboxAgain     string // If an email is due to this address, we have sent it again.

	// Passkeys. PasskeysExplain, PasskeyAddExplain and DropPasswordExplain may be None.
	PasskeyName         string // Passkey: the name of the factor
	PasskeysExplain     string // A passkey logs you in by your finger, your face or a PIN, without a password. Nobody can guess it, and no other site can use it.
	PasskeysNone        string // You have no passkeys yet.
	PasskeyAddExplain   string // Your browser will ask where to keep the passkey, and for your finger, your face or a PIN.
	PasskeyOfferLater   string // Not now
	PasskeySynced       string // Synced
	PasskeyOneDevice    string // On one device
	PasskeyCreated      string // Created
	PasskeyLastUsed     string // last used
	PasskeyNotUsed      string // not used yet
	PasskeySuspended    string // This passkey was copied. It is not accepted any more. Remove it, and add a new one.
	PasskeyOtherSite    string // This passkey is for the old address of the site. It does not work any more.
	PasskeyMissing      string // This browser has no passkeys, or does not run scripts.: where only a passkey helps
	DropPasswordExplain string // If you remove your password, only your passkeys log you in. Nobody can steal a password that you do not have.
	ClosedLink          string // Continue: leads away from the page that says that the account has been closed

	// Accounts at providers. ProviderLastUsed and IdentitiesExplain may be None.
	ProviderLastUsed   string // Used last: marks the button that was used last in this browser
	IdentitiesExplain  string // A connected account at another site logs you in here, without a password.
	IdentitiesNone     string // You have not connected any account yet.
	IdentityConnected  string // Connected: the label of the time
	IdentityLastUsed   string // last used
	IdentityNotUsed    string // not used yet
	IdentityUnusable   string // You cannot log in with this account any more.: the site no longer has the provider
	IdentityUnverified string // Before you connect or disconnect an account, verify your email address.
	RefreshNone        string // You cannot confirm here that it is you. Log out, and log in again.

	// Links, and the texts beside them. These may be None.
	Home           string // Home
	HaveAccount    string // Already have an account?
	LoginLink      string // Log in
	NoAccount      string // New here?
	RegisterLink   string // Create an account
	ForgotLink     string // Forgot your password?
	ForgotExplain  string // Enter your email address, and we will send you a link that sets a new password.
	ResendLink     string // Send the verification email again
	ResendExplain  string // Enter the email address of your account, and we will send you a link that verifies it.
	EmailExplain   string // We will send a link to the new address. Nothing changes before you have opened it.
	ConfirmExplain string // Your account will have the new address, and other browsers will be logged out.
	OtherEmailLink string // Use another address
	UndoExplain    string // Your account will have this address again. Everybody who is logged in to it will be logged out, and you will choose a new password.
	KeepLink       string // Keep my account: leaves the page that closes it
	CloseExplain   string // Nobody can log in to a closed account any more, and it cannot be opened again.
	StayLink       string // Stay logged in as {user}

	// Messages on the page that a form or a link leads to. These may be None. Each message has
	// one of three categories:
	//
	//   - success: Registered, ResetDone, ResetOther, PasswordChanged, LoginEnded,
	//     OthersEnded, Verified, EmailChanged, EmailUndone, Closed, FactorAdded,
	//     FactorRemoved, FactorUnlocked, TrustEnded, BrowsersDistrusted, PasskeyAdded, PasskeyFirst,
	//     PasskeyRenamed, PasskeyRemoved, PasswordSet, PasswordDropped,
	//     IdentityDisconnected.
	//   - info: LoggedOut, InboxAgain, ResetUsed, VerifyUsed, EmailUsed, UndoUsed, MailLinkUsed,
	//     LoginCancelled.
	//   - warning: InvalidToken, LoginAgain, RefreshAgain, AccountCleared; and EmailTaken, if
	//     another account has got the address between the mail and the click on its link.
	Registered           string // Your account has been created. You can now log in.
	LoggedOut            string // You have been logged out.
	InvalidToken         string // This link does not work any more. Ask for a new one.
	ResetDone            string // Your password has been reset.
	ResetOther           string // The password has been reset. You are still logged in to another account.
	PasswordChanged      string // Your password has been changed.
	LoginEnded           string // The browser has been logged out.
	OthersEnded          string // All other browsers have been logged out.
	Verified             string // Your email address has been verified.
	EmailChanged         string // Your email address has been changed.
	EmailUndone          string // Your email address has been changed back. Please choose a new password.
	Closed               string // Your account has been closed.
	ResetUsed            string // This link has already been used. You can log in with your new password.
	VerifyUsed           string // This link has already been used: your email address has been verified. You can log in.
	EmailUsed            string // This link has already been used: your email address has been changed.
	UndoUsed             string // This link has already been used: your email address has been changed back. Ask for a link that sets a new password.
	LoginAgain           string // That took too long, or there were too many wrong tries. Please log in again.
	RefreshAgain         string // That took too long, or there were too many wrong tries. Please confirm your password again.
	LoginCancelled       string // The login has been cancelled.
	FactorAdded          string // The second factor is set up. Other browsers have been logged out.
	FactorRemoved        string // The second factor has been removed. Other browsers have been logged out.
	FactorUnlocked       string // Codes are accepted again.
	TrustEnded           string // The browser will be asked for a code again.
	BrowsersDistrusted   string // All browsers will be asked for a code again.
	MailLinkUsed         string // This link has already been used. Ask for a new one.
	AccountCleared       string // Nobody had verified the email address of this account before. So everything that was set up in it was removed: its password, logins, second factors and API tokens.
	PasskeyAdded         string // The passkey has been added.
	PasskeyFirst         string // The passkey has been added. Other browsers have been logged out.
	PasskeyRenamed       string // The passkey has been renamed.
	PasskeyRemoved       string // The passkey has been removed. Other browsers have been logged out.
	PasswordSet          string // You can log in with your password now.
	PasswordDropped      string // Your password has been removed. Other browsers have been logged out.
	IdentityDisconnected string // The account has been disconnected. Other browsers have been logged out.

	// LoginFailed is the text for every login that is refused, except for ResetRequired. A
	// text for each reason would tell who has an account, so this one must be true for all
	// reasons. The default is: We could not log you in. Check both your username or email and your
	// password. After several wrong tries, you may have to wait. (With RequireVerified of
	// auth.Config:) If your account is new, first open the link that we mailed to you.
	// (With a Mailer:) If that does not help, reset your password. If Identifiers of
	// auth.Config allows only one of the two, "username or email" is only that one.
	LoginFailed string

	ResetRequired string // An administrator has asked you to choose a new password. Open the link that we mailed to you. If it has expired, ask for a new one. (after the right password)

	// Hints under fields. They are shown until the field has an error. They may be None.
	UsernameHint string // {min} to {max} characters, without spaces or @.
	PasswordHint string // At least {min} characters. Longer is better.

	// Errors of a form, and of its fields.
	Problems         string // Please correct these fields: (above the list, if there are two or more)
	Required         string // This field is required.
	RequiredBox      string // Tick this box to go on.
	UsernameLength   string // The username must have {min} to {max} characters.
	UsernameInvalid  string // The username must not have spaces, an @ or special characters.
	UsernameTaken    string // This username is taken. Choose another one.
	EmailInvalid     string // This is not an email address, such as name@example.com.
	EmailTaken       string // This email address is registered already. Use another one.
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
	PasskeyWrong     string // That passkey could not be used. Try again, or log in another way.
	PasskeyFailed    string // The browser could not use a passkey. Try again.
	PasskeyExists    string // This device already has a passkey for you.
	PasskeyNotAdded  string // The passkey could not be added. Try again.
	PasskeyTooMany   string // You have as many passkeys as an account can have. Remove one before you add another.
	IdentityLast     string // You could not log in any more. First set a password, or connect another account.
	PasskeyLast      string // You could not log in any more. First set a password, or add another passkey.

	// Titles of error pages.
	BadRequest       string // The form cannot be read
	NotLoggedIn      string // You are not logged in
	Renewed          string // Your login has been renewed
	Forbidden        string // You cannot do this here
	NotFound         string // Page not found
	MethodNotAllowed string // This is not possible here
	Conflict         string // This has been changed in the meantime
	NotAForm         string // This page takes HTML forms only, and no files
	NotJSON          string // Programs send JSON here
	WrongType        string // This field cannot have this value, or is there twice.: an error of a field of JSON
	FormBusy         string // This form is being processed. Reload the page in a moment
	TooLarge         string // The form is too large
	Invalid          string // Your entries were not accepted
	TooMany          string // Too many attempts
	Failed           string // Something went wrong
	Busy             string // We cannot answer at the moment

	// What error pages say below the title. {wait} stands for one of the last four, and {n} for
	// a number. NotSaved and FailedExplain may be None.
	NotSaved      string // Nothing was saved. Go back to the page, reload it, and try again.
	FailedExplain string // The error is ours, and we have recorded it. Please try again later.
	TryIn         string // Please try again in {wait}.
	TrySoon       string // Please try again in a moment.
	TryAgain      string // Try again: a link
	OneMinute     string // one minute
	Minutes       string // {n} minutes
	OneHour       string // one hour
	Hours         string // {n} hours
}

// checkTexts returns an error for a text that users would see with a placeholder in it, for a
// layout without a time, and for a direction that there is not.
func (p *Pages) checkTexts(texts []text, names map[*string]string) error {
	placeholder := regexp.MustCompile(`{[a-z_]+}`)
	for _, text := range texts {
		for _, name := range placeholder.FindAllString(*text.field, -1) {
			if !strings.Contains(text.english, name) && text.field != &p.texts.RememberMe {
				return fmt.Errorf("pages: Texts.%s has %s, which stands for nothing there; the default is %q", names[text.field], name, text.english)
			}
		}
		switch field := names[text.field]; {
		case field == "Dir" && *text.field != "ltr" && *text.field != "rtl":
			return fmt.Errorf("pages: Texts.Dir is %q; use ltr or rtl", *text.field)
		case (field == "Time" || field == "Date") && time.Unix(0, 0).UTC().Format(*text.field) == *text.field:
			return fmt.Errorf("pages: Texts.%s is %q, which is no layout of package time; write it like %q", field, *text.field, text.english)
		}
	}
	return nil
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
		must(&t.Dir, "ltr"),
		must(&t.ErrorTitle, "Error: {title}"),
		may(&t.HeaderUser, "Logged in as {user}"),
		must(&t.Time, "2006-01-02 15:04 UTC"),
		must(&t.Date, "2 Jan 2006"),
		must(&t.JustNow, "just now"),
		must(&t.MinutesAgo, "{left} min ago"),
		must(&t.HoursAgo, "{left} h ago"),
		must(&t.DayAgo, "1 day ago"),
		must(&t.DaysAgo, "{left} days ago"),
		may(&t.Home, "Home"),
		may(&t.LoginLink, "Log in"),
		may(&t.RegisterLink, "Create an account"),
		may(&t.LoggedInAs, "You are logged in as {user}."),
		must(&t.OtherUser, "You are now logged in as {user}. This form was opened by another account. Nothing was changed."),
		must(&t.Username, "Username"),
		must(&t.Email, "Email"),
		must(&t.Password, "Password"),
		must(&t.NewPassword, "New password"),
		must(&t.ConfirmNewPassword, "Confirm new password"),
		must(&t.CurrentPassword, "Current password"),
		may(&t.InvalidToken, "This link does not work any more. Ask for a new one."),
		must(&t.Problems, "Please correct these fields:"),
		must(&t.Required, "This field is required."),
		must(&t.RequiredBox, "Tick this box to go on."),
		may(&t.ShowPassword, "Show"),
		must(&t.HidePassword, "Hide"),
		may(&t.CapsLock, "Caps lock is on."),
		may(&t.PasswordHint, "At least {min} characters. Longer is better."),
		must(&t.EmailInvalid, "This is not an email address, such as name@example.com."),
		must(&t.EmailTaken, "This email address is registered already. Use another one."),
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

// setTexts gives every empty text its default in this language, and makes every text that is
// None empty.
func (p *Pages) setTexts(lang string) error {
	texts, names := p.sharedTexts(), p.texts.names()
	for _, page := range p.table {
		texts = append(texts, page.texts...)
	}
	var missing []string
	for _, text := range texts {
		switch *text.field {
		case "":
			if lang != "" && p.words == nil && !isEnglish(lang) {
				missing = append(missing, names[text.field])
				continue
			}
			*text.field = p.word(names[text.field], text.english)
		case None:
			if !text.optional {
				return fmt.Errorf("pages: Texts.%s cannot be None", names[text.field])
			}
			*text.field = ""
		}
	}
	if len(missing) == 0 {
		return p.checkTexts(texts, names)
	}
	setting := fmt.Sprintf("Translations[%q]", lang)
	if lang == p.auth.Languages[0] {
		setting = "Texts"
	}
	if n := len(missing); n > 10 {
		missing = append(missing[:10], fmt.Sprintf("%d more", n-10))
	}
	return fmt.Errorf("pages: there is no text in %q for %s; set these fields in Config.%s (the package has English, German and Spanish)", lang, strings.Join(missing, ", "), setting)
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

// within returns a text with these limits in place of {min} and {max}.
func within(text string, least, most int) string {
	return strings.NewReplacer("{min}", strconv.Itoa(least), "{max}", strconv.Itoa(most)).Replace(text)
}
