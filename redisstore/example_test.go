package redisstore_test

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/redisstore"
)

type User struct {
	auth.Account
}

// Sessions are in Redis, here under Sentinel. Accounts, and all other records,
// which must last, are in another store.
func Example() {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:            "main",
		SentinelAddrs:         []string{"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"},
		TLSConfig:             &tls.Config{MinVersion: tls.VersionTLS12},
		ContextTimeoutEnabled: true, // a cancelled request does not wait for Redis
	})
	defer func() { _ = client.Close() }()

	manager, err := auth.New(memstore.New[User](), auth.Config{ // or sqlstore.New
		BaseURL:      "https://app.example",
		Secrets:      [][]byte{[]byte(rand.Text() + rand.Text())}, // use a secret from your configuration
		SessionStore: redisstore.NewRecords(client),
	})
	fmt.Println(manager != nil, err)
	// Output: true <nil>
}
