package authmail_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
)

func Example() {
	mailer, err := authmail.New(authmail.Config{
		Addr:     "smtp.example:587",
		From:     "App <noreply@app.example>",
		Username: "app",
		Password: auth.NewSecret("from the environment"),
		OnError:  func(m auth.Mail, err error) { log.Printf("a mail to %s was not sent: %v", m.To, err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth.Config{Mailer: mailer} // … and other settings

	// After the HTTP server has stopped:
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := mailer.Close(ctx); err != nil {
		log.Print(err)
	}
}

// This example sends the same mail in another language. An application that has
// its HTML in a file embeds it as a string.
func ExampleTemplate() {
	german := map[auth.MailKind]authmail.Template{
		auth.MailReset: {
			Subject: "Passwort zurücksetzen",
			Text: `{{with .Username}}Hallo {{.}},

{{end}}hier kannst du dein Passwort neu setzen:

{{.Link}}

Der Link gilt {{.Lifetime.Minutes}} Minuten. Falls du das nicht warst, lösche diese Mail.
`,
			HTML: `<!doctype html>
<html lang="de">
<title>Passwort zurücksetzen</title>
<p>{{with .Username}}Hallo {{.}}, {{end}}hier kannst du <a href="{{.Link}}">dein Passwort neu setzen</a>.</p>
<p>Der Link gilt {{.Lifetime.Minutes}} Minuten. Falls du das nicht warst, lösche diese Mail.</p>
</html>
`,
		},
	}
	printer, err := authmail.NewPrinter(os.Stdout).WithTemplates(german)
	if err != nil {
		log.Fatal(err)
	}
	err = printer.Send(context.Background(), auth.Mail{ // the Manager does this
		Kind: auth.MailReset, To: "ann@app.example", User: &auth.Account{Username: "Ann"},
		Link: auth.NewSecret("https://app.example/reset-password?token=abc"), Lifetime: 30 * time.Minute,
	})
	fmt.Println(err)
	// Output:
	// ---- mail ----
	// To: ann@app.example
	// Subject: Passwort zurücksetzen
	//
	// Hallo Ann,
	//
	// hier kannst du dein Passwort neu setzen:
	//
	// https://app.example/reset-password?token=abc
	//
	// Der Link gilt 30 Minuten. Falls du das nicht warst, lösche diese Mail.
	// --------------
	// <nil>
}
