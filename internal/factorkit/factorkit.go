// Package factorkit has what packages with second factors share.
package factorkit

import (
	"context"
	"crypto/sha256"
	"errors"
	"reflect"

	"github.com/go-login/auth"
)

// UserID returns the ID of a user's account, or "" if there is no user.
func UserID(user auth.User) string {
	if v := reflect.ValueOf(user); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return ""
	}
	if a := user.AuthAccount(); a != nil {
		return a.ID
	}
	return ""
}

// Check returns notBound if there is no feature, and auth.ErrUserNotFound if there is no user.
func Check(feature *auth.Feature, userID string, notBound error) error {
	switch {
	case feature == nil:
		return notBound
	case userID == "":
		return auth.ErrUserNotFound
	}
	return nil
}

// StampHash returns the hash of an account's Stamp. A record that has it is void after a
// change of a credential.
func StampHash(user auth.User) string {
	sum := sha256.Sum256([]byte(user.AuthAccount().Stamp.Reveal()))
	return string(sum[:])
}

// maxRounds is how often something that other requests have changed meanwhile is tried again.
const maxRounds = 10

// ErrKept is returned by the change of ChangeOrInsert if the record is to stay as it is.
var ErrKept = errors.New("factorkit: the record stays")

// ChangeOrInsert changes a record as auth.Feature.Change does. If there is none with the key
// of r, it inserts r. If change returns ErrKept, the record stays, and ChangeOrInsert returns
// nil.
func ChangeOrInsert(ctx context.Context, feature *auth.Feature, r auth.Record, change func(*auth.Record) error) error {
	for range maxRounds {
		err := feature.Change(ctx, r.Key, change)
		if errors.Is(err, auth.ErrRecordNotFound) {
			err = feature.Insert(ctx, r)
		}
		switch {
		case err == nil || errors.Is(err, ErrKept):
			return nil
		case !errors.Is(err, auth.ErrRecordExists): // another request has just inserted one
			return err
		}
	}
	return auth.ErrConflict
}
