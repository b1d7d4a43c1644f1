package auth

import (
	"context"
	"log/slog"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth/internal/passhash"
)

// DefaultHashParams returns the default parameters of new password hashes: Argon2id with
// 19,456 KiB of memory, two passes and one lane, a salt of 16 bytes and a tag of 32 bytes.
// They are the second choice of OWASP's password storage cheat sheet. They follow RFC 9106,
// section 4, in everything except the memory. They do not depend on the processors of the
// machine: a hash costs the same wherever it is made, and takes the same time to verify
// on every server.
func DefaultHashParams() argon2id.Params {
	return passhash.DefaultParams()
}

// A hasher is a passhash.Hasher whose hashes are Secrets, so that none is printed by
// accident. Each method does what the method of the same name of passhash.Hasher does.
type hasher struct{ *passhash.Hasher }

func newHasher(params *argon2id.Params, memory int64, peppers []Pepper, logger *slog.Logger) (hasher, error) {
	keys := make([]passhash.Pepper, len(peppers))
	for i, p := range peppers {
		keys[i] = passhash.Pepper(p)
	}
	h, err := passhash.NewHasher(*params, memory, keys, logger)
	return hasher{h}, err
}

func (h hasher) Hash(ctx context.Context, password string) (Secret, error) {
	hash, err := h.Hasher.Hash(ctx, password)
	return NewSecret(hash), err
}

func (h hasher) TryHash(password string) (Secret, error) {
	hash, err := h.Hasher.TryHash(password)
	return NewSecret(hash), err
}

func (h hasher) Wrap(ctx context.Context, stored Secret) (Secret, error) {
	hash, err := h.Hasher.Wrap(ctx, stored.Reveal())
	return NewSecret(hash), err
}

func (h hasher) Verify(ctx context.Context, stored Secret, password string) (passhash.Verification, error) {
	return h.Hasher.Verify(ctx, stored.Reveal(), password)
}
