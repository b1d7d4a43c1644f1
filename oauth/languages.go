package oauth

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// wordsFor returns the texts in the language of a request: those of the application, and the
// package's for those that it leaves out.
func (h *Handler) wordsFor(ctx context.Context) *Texts {
	lang, first := h.core.Language(ctx), ""
	if languages := h.core.Config().Languages; len(languages) > 0 {
		first = languages[0]
	}
	texts, ok := h.Translations[lang]
	if !ok && strings.EqualFold(cmp.Or(h.Texts.Lang, first), cmp.Or(lang, h.Texts.Lang)) {
		texts = h.Texts
	}
	if texts != (Texts{}) {
		texts.Lang = cmp.Or(lang, texts.Lang)
	}
	texts.complete(shipped(cmp.Or(lang, texts.Lang)))
	return &texts
}

// vary says that the answer depends on the language of the request, if it does.
func (h *Handler) vary(header http.Header) {
	if len(h.core.Config().Languages) > 1 && !slices.Contains(header["Vary"], "Accept-Language") {
		header.Add("Vary", "Accept-Language")
	}
}

// complete sets the texts that are empty.
func (t *Texts) complete(defaults Texts) {
	texts, from := reflect.ValueOf(t).Elem(), reflect.ValueOf(defaults)
	for i := range texts.NumField() {
		if texts.Field(i).IsZero() {
			texts.Field(i).Set(from.Field(i))
		}
	}
}

// shipped returns the package's texts in a language. They are English if it has none in this one.
func shipped(lang string) Texts {
	switch base, _, _ := strings.Cut(strings.ToLower(lang), "-"); base {
	case "de":
		return german()
	case "es":
		return spanish()
	}
	return english()
}

func english() Texts {
	return Texts{
		Lang:              "en",
		LeavingTitle:      "Taking you to {host}",
		ReturningTitle:    "One moment",
		CancelledTitle:    "You cancelled",
		AgainTitle:        "Please begin again",
		NotConnectedTitle: "This account is not connected",
		RefusedTitle:      "You cannot log in this way",
		TooManyTitle:      "You have connected too many accounts",
		UnavailableTitle:  "{provider} cannot be used at the moment",
		Cancelled:         "You were not logged in by {provider}.",
		Again:             "This login is over, or was begun in another browser.",
		NotConnected:      "No account here is connected to this account at {provider}. If you have an account here, log in to it, then connect the two.",
		Refused:           "Your account at {provider} cannot be used for this.",
		TooMany:           "You can connect {max} accounts. Disconnect one of them, then connect this one.",
		Unavailable:       "Try again in a few minutes, or use another way.",
		ContinueLink:      "Continue",
		LoginLink:         "Log in",
		BackLink:          "Back",
	}
}

func german() Texts {
	return Texts{
		Lang:              "de",
		LeavingTitle:      "Weiter zu {host}",
		ReturningTitle:    "Einen Moment",
		CancelledTitle:    "Sie haben abgebrochen",
		AgainTitle:        "Bitte fangen Sie noch einmal an",
		NotConnectedTitle: "Dieses Konto ist nicht verbunden",
		RefusedTitle:      "So können Sie sich nicht anmelden",
		TooManyTitle:      "Sie haben zu viele Konten verbunden",
		UnavailableTitle:  "{provider} ist zurzeit nicht verfügbar",
		Cancelled:         "Sie wurden nicht mit {provider} angemeldet.",
		Again:             "Diese Anmeldung ist abgelaufen, oder ein anderer Browser hat sie begonnen.",
		NotConnected:      "Mit diesem Konto bei {provider} ist hier kein Konto verbunden. Wenn Sie hier eines haben, melden Sie sich an und verbinden Sie die beiden.",
		Refused:           "Ihr Konto bei {provider} kann dafür nicht verwendet werden.",
		TooMany:           "Sie können {max} Konten verbinden. Trennen Sie eines, und verbinden Sie dann dieses.",
		Unavailable:       "Versuchen Sie es in ein paar Minuten noch einmal, oder auf einem anderen Weg.",
		ContinueLink:      "Weiter",
		LoginLink:         "Anmelden",
		BackLink:          "Zurück",
	}
}

func spanish() Texts {
	return Texts{
		Lang:              "es",
		LeavingTitle:      "Le llevamos a {host}",
		ReturningTitle:    "Espere un poco",
		CancelledTitle:    "Ha cancelado",
		AgainTitle:        "Empiece de nuevo",
		NotConnectedTitle: "Esta cuenta no está conectada",
		RefusedTitle:      "No puede iniciar sesión de esta forma",
		TooManyTitle:      "Ha conectado demasiadas cuentas",
		UnavailableTitle:  "{provider} no está disponible ahora",
		Cancelled:         "No ha iniciado sesión con {provider}.",
		Again:             "Este inicio de sesión ha caducado o se empezó en otro navegador.",
		NotConnected:      "Ninguna cuenta de este sitio está conectada a esta cuenta de {provider}. Si tiene una cuenta aquí, inicie sesión en ella y conecte las dos.",
		Refused:           "Su cuenta de {provider} no se puede usar para esto.",
		TooMany:           "Puede conectar {max} cuentas. Desconecte una de ellas y después conecte esta.",
		Unavailable:       "Inténtelo de nuevo dentro de unos minutos o use otra forma.",
		ContinueLink:      "Continuar",
		LoginLink:         "Iniciar sesión",
		BackLink:          "Volver",
	}
}
