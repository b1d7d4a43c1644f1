package auth

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/go-login/auth/internal/origin"
)

// A Flash is a message for the next page that the user sees.
type Flash struct {
	Category string // such as "info" or "danger"; for the page to style
	Text     string // plain text: templates must escape it
}

// The texts of DefaultMessage.
const (
	msgLogIn     = "Please log in to access this page."
	msgConfirm   = "Please confirm your password to access this page."
	msgVerify    = "Please verify your email address to access this page."
	msgFactor    = "Please set up a second factor to access this page."
	msgLoggedOut = "You have been logged out. Please log in again."
	msgNotSaved  = "What you have just sent was not saved."
)

// DefaultMessage is the default of Config.Message, in English. It says if a login has ended,
// and if a form was just sent, that it was not saved. For ErrFactorRequired there is no
// message: the user has just logged in, and the page asks for the second factor.
func DefaultMessage(r *http.Request, reason error) Flash {
	return message(r, reason, nil)
}

// message is DefaultMessage, with translations of its texts.
func message(r *http.Request, reason error, translations map[string]string) Flash {
	text, isForm := msgLogIn, false
	switch {
	case errors.Is(reason, ErrNoPending):
	case errors.Is(reason, ErrFactorRequired):
		return Flash{}
	case errors.Is(reason, ErrNoFactor):
		text = msgFactor
	case errors.Is(reason, ErrNotFresh):
		text, isForm = msgConfirm, true
	case errors.Is(reason, ErrUnverified):
		text = msgVerify
	case errors.Is(reason, ErrLoggedOut):
		text, isForm = msgLoggedOut, true
	default:
		isForm = true
	}
	text = cmp.Or(translations[text], text)
	if isForm && r != nil && origin.IsUnsafe(r.Method) {
		text += " " + cmp.Or(translations[msgNotSaved], msgNotSaved)
	}
	return Flash{"info", text}
}

// messagesIn returns the texts of DefaultMessage in another language, by the English ones.
func messagesIn(base string) map[string]string {
	switch base {
	case "de":
		return map[string]string{
			msgLogIn:     "Bitte melden Sie sich an, um diese Seite zu sehen.",
			msgConfirm:   "Bitte bestätigen Sie Ihr Passwort, um diese Seite zu sehen.",
			msgVerify:    "Bitte bestätigen Sie Ihre E-Mail-Adresse, um diese Seite zu sehen.",
			msgFactor:    "Bitte richten Sie einen zweiten Faktor ein, um diese Seite zu sehen.",
			msgLoggedOut: "Sie sind nicht mehr angemeldet. Bitte melden Sie sich noch einmal an.",
			msgNotSaved:  "Was Sie gerade abgeschickt haben, wurde nicht gespeichert.",
		}
	case "es":
		return map[string]string{
			msgLogIn:     "Inicie sesión para ver esta página.",
			msgConfirm:   "Confirme su contraseña para ver esta página.",
			msgVerify:    "Verifique su dirección de correo electrónico para ver esta página.",
			msgFactor:    "Configure un segundo factor para ver esta página.",
			msgLoggedOut: "Su sesión se ha cerrado. Inicie sesión de nuevo.",
			msgNotSaved:  "Lo que acaba de enviar no se ha guardado.",
		}
	}
	return nil
}
