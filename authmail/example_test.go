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

// An application sends mails through the API of a provider, without SMTP. Its Mailer renders
// them.
func ExampleRenderer() {
	renderer, err := authmail.NewRenderer(authmail.Content{Site: "Gophers", Accent: "#0b57b0"})
	if err != nil {
		log.Fatal(err)
	}
	msg, err := renderer.Render(auth.Mail{ // in the Send of your auth.Mailer
		Kind: auth.MailReset, To: "ann@app.example", User: &auth.Account{Username: "Ann"}, Language: "en",
		Link: auth.NewSecret("https://app.example/reset-password?token=abc"), Lifetime: 30 * time.Minute,
		At: time.Date(2026, 11, 28, 19, 21, 0, 0, time.UTC), Address: "203.0.113.7",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(msg.Subject) // and msg.To, msg.HTML
	fmt.Println(msg.Text)
	// Output:
	// Set a new password – Gophers
	// Somebody asked for a new password for your account at Gophers. If it was
	// you, set it here:
	//
	// https://app.example/reset-password?token=abc
	//
	// The link works once, and is valid for 30 minutes.
	//
	// When: 28 Nov 2026, 19:21 UTC
	// IP address: 203.0.113.7
	//
	// If it was not you, ignore this email. Your password stays as it is.
	//
	// Gophers sent this email to ann@app.example.
}

// This example replaces the words of one mail. An application that has its HTML in a file
// embeds it as a string.
func ExampleTemplate() {
	own := map[auth.MailKind]authmail.Template{
		auth.MailReset: {
			Subject: "Your new password",
			Text: `{{with .Username}}Hi {{.}},

{{end}}choose your new password here:

{{.Link}}

The link is valid for {{.ValidFor}}. If this was not you, delete this mail.
`,
			HTML: `<!doctype html>
<html lang="en">
<title>Your new password</title>
<p>{{with .Username}}Hi {{.}}, {{end}}choose <a href="{{.Link}}">your new password</a>.</p>
<p>The link is valid for {{.ValidFor}}. If this was not you, delete this mail.</p>
</html>
`,
		},
	}
	printer, err := authmail.NewPrinter(os.Stdout).With(authmail.Content{Templates: own})
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
	// Subject: Your new password
	//
	// Hi Ann,
	//
	// choose your new password here:
	//
	// https://app.example/reset-password?token=abc
	//
	// The link is valid for 30 minutes. If this was not you, delete this mail.
	// --------------
	// <nil>
}
