package pages_test

import (
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// The pages are mounted under a prefix, beside the application's own.
func Example() {
	manager := newManager(auth.Config{URLs: auth.URLs{Login: "/auth/login"}})
	p, err := pages.New(manager.Core, pages.Config{Prefix: "/auth", Site: "Gophers"})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/auth/", p)
	mux.Handle("GET /profile", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := manager.CurrentUser(r.Context())
		fmt.Fprintf(w, "Hi, %s!", user.Name)
	})))
	application := manager.LoadAndSave(mux)

	answer := request(application, "/profile")
	fmt.Println(answer.Code, answer.Header().Get("Location"))
	// Output:
	// 303 /auth/login?next=%2Fprofile
}

// All texts are in another language.
func ExampleTexts() {
	german := pages.Texts{
		Lang:       "de",
		LoginTitle: "Anmelden", LoginButton: "Anmelden", LoginLink: "Anmelden", LogoutButton: "Abmelden",
		RegisterTitle: "Registrieren", RegisterButton: "Registrieren", RegisterLink: "Registrieren",
		ForgotTitle: "Passwort vergessen", ForgotButton: "Link anfordern",
		ForgotExplain: "Wir schicken Ihnen einen Link, mit dem Sie ein neues Passwort setzen.",
		ResetTitle:    "Neues Passwort", ResetButton: "Passwort setzen",
		PasswordTitle: "Passwort ändern", PasswordButton: "Passwort ändern",
		AccountTitle: "Konto", Home: "Startseite",
		RefreshTitle: "Passwort bestätigen", RefreshButton: "Bestätigen",
		VerifyTitle: "Adresse bestätigen", VerifyButton: "Meine Adresse bestätigen",
		VerifyExplain: "Bestätigen Sie nur ein Konto, das Sie selbst angelegt haben: Das Passwort kennt, wer es angelegt hat.",
		EmailVerified: "bestätigt", EmailUnverified: "nicht bestätigt",
		ResendLink: "Den Link noch einmal schicken", ResendButton: "Link schicken",
		ResendExplain: "Wir schicken Ihnen einen Link, mit dem Sie Ihre Adresse bestätigen.",
		EmailTitle:    "Adresse ändern", EmailButton: "Link an die neue Adresse schicken", NewEmail: "Neue E-Mail",
		EmailExplain: "Es ändert sich nichts, bevor Sie den Link geöffnet haben.",
		ConfirmTitle: "Neue Adresse bestätigen", ConfirmButton: "Diese Adresse verwenden", OtherEmailLink: "Eine andere Adresse",
		ConfirmExplain: "Ihr Konto bekommt die neue Adresse, andere Browser werden abgemeldet.",
		UndoTitle:      "Zurück zur alten Adresse", UndoButton: "Zurück zu dieser Adresse",
		UndoExplain: "Ihr Konto bekommt diese Adresse wieder, alle Browser werden abgemeldet, und Sie setzen ein neues Passwort.",
		CloseTitle:  "Konto schließen", CloseButton: "Konto schließen", CloseConfirm: "Mein Konto für immer schließen",
		CloseExplain: "Ein geschlossenes Konto lässt sich nicht wieder öffnen.",
		SwitchTitle:  "Sie sind schon angemeldet", SwitchButton: "Abmelden und weiter", StayLink: "Als {user} angemeldet bleiben",
		SwitchExplain: "Sie sind als {user} angemeldet. Melden Sie sich ab, um ein anderes Konto zu benutzen.",
		LoggedInAs:    "Sie sind als {user} angemeldet.",
		OtherUser:     "Sie sind jetzt als {user} angemeldet. Ein anderes Konto hat dieses Formular geöffnet. Es wurde nichts geändert.",
		ResetExplain:  "Das neue Passwort ist für das Konto {user}. Alle seine Browser werden abgemeldet.",
		SessionsTitle: "Wo Sie angemeldet sind", OthersButton: "Alle anderen abmelden",
		SessionsExplain: "Melden Sie ab, was Sie nicht kennen.",
		Browser:         "{browser} unter {system}", UnknownBrowser: "Unbekannter Browser", ThisBrowser: "Dieser Browser",
		Address: "IP-Adresse", LastSeen: "Zuletzt gesehen", LoggedInSince: "Angemeldet seit", RememberedUntil: "Gemerkt bis",
		Time: "02.01.2006, 15:04 Uhr (UTC)",

		FactorTitle: "Bestätigen Sie, dass Sie es sind", FactorButton: "Weiter", CancelButton: "Abbrechen",
		FactorExplain: "Damit geht es weiter als {user}.", OtherFactors: "Anders bestätigen",
		TOTPName: "Authenticator-App", RecoveryName: "Ersatzcodes",
		TOTPCode: "Code aus Ihrer Authenticator-App", RecoveryCode: "Ersatzcode", FactorCode: "Code",
		FactorWrong:   "Dieser Code war falsch oder schon benutzt. Warten Sie auf den nächsten.",
		RecoveryWrong: "Dieser Ersatzcode war falsch oder schon benutzt. Nehmen Sie einen anderen.",
		LoginAgain:    "Bitte melden Sie sich noch einmal an.", RefreshAgain: "Bitte bestätigen Sie noch einmal Ihr Passwort.",
		LoginCancelled: "Die Anmeldung ist abgebrochen.",
		TwoFactorTitle: "Anmeldung in zwei Schritten", FactorOn: "an", FactorOff: "aus",
		TwoFactorExplain:    "Mit einem zweiten Faktor reicht das Passwort nicht, um sich anzumelden.",
		TwoFactorUnverified: "Bestätigen Sie zuerst Ihre E-Mail-Adresse.",
		FactorLocked:        "Es gab zu viele falsche Codes. Bis Sie es wieder erlauben, gilt kein Code.",
		SetupTitle:          "Einrichten: {factor}", SetupButton: "Einrichten", EnrollButton: "Einschalten",
		SetupExplain: "Scannen Sie das Bild mit der App, oder tippen Sie den Schlüssel ab. Geben Sie dann den Code ein, den die App zeigt.",
		SetupPicture: "QR-Code", SetupSecret: "Schlüssel", SetupLink: "Die App auf diesem Gerät öffnen",
		RemoveButton: "Entfernen", UnlockButton: "Codes wieder erlauben", DistrustButton: "In allen Browsern fragen",
		TrustBrowser:       "In diesem Browser {left} Tage lang nicht fragen",
		TrustedBrowsers:    "Browser, die nicht nach einem Code gefragt werden: {left}.",
		BrowsersDistrusted: "Alle Browser werden wieder nach einem Code gefragt.",
		FactorAdded:        "Der zweite Faktor ist eingerichtet. Andere Browser sind abgemeldet.",
		FactorRemoved:      "Der zweite Faktor ist entfernt. Andere Browser sind abgemeldet.", FactorUnlocked: "Codes gelten wieder.",
		CodesTitle: "Ersatzcodes", CodesDownload: "Herunterladen", CodesButton: "Neue Codes", CodesLeft: "Übrige Ersatzcodes: {left}.",
		CodesFew:     "Übrige Ersatzcodes: {left}. Machen Sie bald neue.",
		CodesNone:    "Sie haben keine Ersatzcodes. Ohne den zweiten Faktor können Sie sich nicht anmelden.",
		CodesExplain: "Mit einem Ersatzcode melden Sie sich an, wenn Sie den zweiten Faktor verloren haben. Jeder gilt einmal. Neue ersetzen die alten.",
		CodesKeep:    "Bewahren Sie sie sicher auf; sie werden nur einmal gezeigt.", CodesSaved: "Ich habe sie gesichert",

		Login: "Benutzername oder E-Mail", Username: "Benutzername", Email: "E-Mail", Optional: "(freiwillig)",
		Password: "Passwort", ConfirmPassword: "Passwort wiederholen", RememberMe: "Angemeldet bleiben",
		CurrentPassword: "Bisheriges Passwort", NewPassword: "Neues Passwort", ConfirmNewPassword: "Neues Passwort wiederholen",
		HaveAccount: "Schon registriert?", NoAccount: "Noch kein Konto?", ForgotLink: "Passwort vergessen?",

		Registered:      "Ihr Konto ist angelegt. Sie können sich jetzt anmelden.",
		LoggedOut:       "Sie sind abgemeldet.",
		ResetSent:       "Wir haben Ihnen eine E-Mail geschickt.",
		InvalidToken:    "Der Link ist ungültig oder abgelaufen.",
		ResetDone:       "Ihr Passwort ist gesetzt.",
		ResetOther:      "Das Passwort ist gesetzt. Sie sind weiter mit einem anderen Konto angemeldet.",
		PasswordChanged: "Ihr Passwort ist geändert.",
		ResetUsed:       "Dieser Link ist schon benutzt. Melden Sie sich mit dem neuen Passwort an.",
		VerifyUsed:      "Dieser Link ist schon benutzt: Ihre Adresse ist bestätigt. Sie können sich anmelden.",
		EmailUsed:       "Dieser Link ist schon benutzt: Ihre Adresse ist geändert.",
		UndoUsed:        "Dieser Link ist schon benutzt: Ihre alte Adresse gilt wieder. Fordern Sie einen Link für ein neues Passwort an.",
		LoginEnded:      "Der Browser ist abgemeldet.", OthersEnded: "Alle anderen Browser sind abgemeldet.",
		RegisterMailed: "Wir haben Ihnen eine E-Mail geschickt, mit der es weitergeht.",
		VerifySent:     "Wir haben Ihnen einen Link geschickt.", Verified: "Ihre Adresse ist bestätigt.",
		EmailSent: "Wir haben einen Link an die neue Adresse geschickt.", EmailChanged: "Ihre Adresse ist geändert.",
		EmailUndone: "Ihr Konto hat wieder die alte Adresse. Bitte setzen Sie ein neues Passwort.",
		Closed:      "Ihr Konto ist geschlossen.",

		LoginFailed: "Die Anmeldung hat nicht geklappt. Prüfen Sie Benutzername oder E-Mail und Passwort. Nach mehreren Versuchen müssen Sie vielleicht warten.",
		Problems:    "Bitte verbessern Sie:", Required: "Bitte ausfüllen.", NotText: "Das ist kein Text.",
		UsernameLength:  "Der Benutzername hat {min} bis {max} Zeichen.",
		UsernameInvalid: "Ohne Leerzeichen, @ und Sonderzeichen, bitte.",
		UsernameTaken:   "Dieser Benutzername ist vergeben.",
		EmailInvalid:    "Das ist keine E-Mail-Adresse.", EmailTaken: "Diese Adresse ist schon registriert.", EmailSame: "Das ist schon Ihre Adresse.",
		PasswordMismatch: "Die Passwörter sind verschieden.", PasswordWrong: "Das ist nicht Ihr bisheriges Passwort.",
		PasswordTooShort: "Das Passwort braucht mindestens {min} Zeichen.", PasswordTooLong: "Das Passwort ist zu lang.",
		PasswordNotText: "Das Passwort ist kein Text.",
		PasswordCommon:  "Dieses Passwort ist zu verbreitet.", PasswordPersonal: "Dieses Passwort ist leicht zu erraten.",
		PasswordBreached: "Dieses Passwort stammt aus einem Datenleck.",

		BadRequest: "Das Formular ist nicht lesbar", TooLarge: "Das Formular ist zu groß",
		NotFound: "Seite nicht gefunden", MethodNotAllowed: "Das geht hier nicht",
		NotAForm: "Diese Seite nimmt nur HTML-Formulare, und keine Dateien",
		FormBusy: "Das Formular wird gerade bearbeitet. Laden Sie die Seite gleich neu",
		TooMany:  "Zu viele Versuche. Bitte später noch einmal",
	}
	manager := newManager(auth.Config{})
	p, err := pages.New(manager.Core, pages.Config{Texts: german})
	if err != nil {
		log.Fatal(err)
	}
	page := request(manager.LoadAndSave(p), "/login").Body.String()
	fmt.Println(strings.Contains(page, `<html lang="de">`), strings.Contains(page, "<h1>Anmelden</h1>"))
	// Output:
	// true true
}

// Two pages have templates of the application's own.
func ExampleConfig_templates() {
	templates := fstest.MapFS{ // or os.DirFS, or an embed.FS
		"account.html": {Data: []byte(`
{{define "content"}}
	<p>Hello, {{.User.Name}}! Your address is {{.User.Email}}.</p>
	<p><a href="{{.URLs.Password}}">{{.Texts.PasswordTitle}}</a></p>
{{end}}`)},
		"login.html": {Data: []byte(`
{{define "content"}}
	{{template "summary" .}}
	<form action="{{.Form.Action}}" method="post">
		<input type="hidden" name="next" value="{{.Form.Next}}">
		{{template "field" .Form.Field "login"}}
		{{template "field" .Form.Field "password"}}
		<button>Come in</button>
	</form>
{{end}}`)},
	}
	manager := newManager(auth.Config{})
	p, err := pages.New(manager.Core, pages.Config{Templates: templates, SampleUser: &User{}})
	if err != nil {
		log.Fatal(err)
	}
	page := request(manager.LoadAndSave(p), "/login").Body.String()
	fmt.Println(strings.Contains(page, "Come in"), strings.Contains(page, "Remember Me"))
	// Output:
	// true false
}

func newManager(cfg auth.Config) *auth.Manager[*User] {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	cfg.BaseURL, cfg.Secrets = "http://localhost:8080", [][]byte{secret}
	manager, err := auth.New(memstore.New[User](), cfg)
	if err != nil {
		log.Fatal(err)
	}
	return manager
}

func request(h http.Handler, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}
