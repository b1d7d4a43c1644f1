package authotel_test

import (
	"log"
	"net/http"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authotel"
	"github.com/go-login/auth/memstore"
)

// The application has set up the SDK, and its global providers, before.
func Example() {
	telemetry, err := authotel.New(authotel.Config{})
	if err != nil {
		log.Fatal(err)
	}
	type User struct{ auth.Account }
	cfg := auth.Config{BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}}
	telemetry.Instrument(&cfg)
	manager, err := auth.New(memstore.New[User](), cfg)
	if err != nil {
		log.Fatal(err)
	}
	stop, err := telemetry.Observe(manager.Core)
	if err != nil {
		log.Fatal(err)
	}
	defer stop() //nolint:errcheck // the program ends
	_ = manager.LoadAndSave(http.NewServeMux())
	// Output:
}
