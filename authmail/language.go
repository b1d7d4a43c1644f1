package authmail

import (
	"fmt"
	"strings"
	"time"
)

// words are the words of one language that are not in the texts of the mails.
type words struct {
	lang, dir string

	when, browser, address string // the labels of what is known about the request
	time                   string // a layout of package time, for times in UTC
	on                     string // {browser} and {system}
	buttonFails            string // above the link that the button has, too
	sentBy, sentTo         string // the last line of a mail: with {site} and {address}, or with {address} only

	moment, minute, minutes, hour, hours, day, days string // how long a link is valid
	totp, recoveryCode, passkey, allFactors         string // what a second factor is called
}

// shipped returns the words of the languages whose mails the package has.
func shipped() map[string]*words {
	return map[string]*words{
		"en": {
			lang: "en", dir: "ltr",
			when: "When", browser: "Browser", address: "IP address", time: "2 Jan 2006, 15:04 UTC", on: "{browser} on {system}",
			buttonFails: "If the button does not work, copy this link into your browser:",
			sentBy:      "{site} sent this email to {address}.", sentTo: "This email was sent to {address}.",
			moment: "less than a minute", minute: "minute", minutes: "minutes", hour: "hour", hours: "hours", day: "day", days: "days",
			totp: "an authenticator app", recoveryCode: "recovery codes", passkey: "passkeys", allFactors: "all second factors",
		},
		"de": {
			lang: "de", dir: "ltr",
			when: "Zeit", browser: "Browser", address: "IP-Adresse", time: "02.01.2006, 15:04 Uhr (UTC)", on: "{browser} unter {system}",
			buttonFails: "Wenn die Schaltfläche nicht funktioniert, kopieren Sie diesen Link in Ihren Browser:",
			sentBy:      "{site} hat diese E-Mail an {address} geschickt.", sentTo: "Diese E-Mail ging an {address}.",
			moment: "weniger als eine Minute", minute: "Minute", minutes: "Minuten", hour: "Stunde", hours: "Stunden", day: "Tag", days: "Tage",
			totp: "eine Authenticator-App", recoveryCode: "Ersatzcodes", passkey: "Passkeys", allFactors: "alle zweiten Faktoren",
		},
		"es": {
			lang: "es", dir: "ltr",
			when: "Fecha y hora", browser: "Navegador", address: "Dirección IP", time: "02/01/2006, 15:04 UTC", on: "{browser} en {system}",
			buttonFails: "Si el botón no funciona, copie este enlace en su navegador:",
			sentBy:      "{site} ha enviado este correo a {address}.", sentTo: "Este correo se ha enviado a {address}.",
			moment: "menos de un minuto", minute: "minuto", minutes: "minutos", hour: "hora", hours: "horas", day: "día", days: "días",
			totp: "una aplicación de autenticación", recoveryCode: "códigos de recuperación", passkey: "llaves de acceso",
			allFactors: "todos los segundos factores", //nolint:misspell // Spanish
		},
	}
}

// wordsOf returns the words of a language or, if the package does not have it, the English
// ones.
func wordsOf(all map[string]*words, lang string) *words {
	base, _, _ := strings.Cut(lang, "-")
	if w := all[base]; w != nil {
		return w
	}
	return all["en"]
}

// duration says how long a link is valid, rounded down to minutes. It is empty if d is not
// positive.
func (w *words) duration(d time.Duration) string {
	count, one, many := int64(d/time.Minute), w.minute, w.minutes
	switch {
	case d <= 0:
		return ""
	case count == 0:
		return w.moment
	case count >= 48*60 && count%(24*60) == 0:
		count, one, many = count/(24*60), w.day, w.days
	case count%60 == 0:
		count, one, many = count/60, w.hour, w.hours
	}
	if count == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", count, many)
}

// factor returns what a second factor is called. Factors that the package does not know are
// called by their names.
func (w *words) factor(name string) string {
	switch name {
	case "":
		return w.allFactors
	case "totp":
		return w.totp
	case "recovery-code":
		return w.recoveryCode
	case "passkey":
		return w.passkey
	}
	return name
}
