package auth

import (
	"context"
	"errors"

	"github.com/go-login/auth/internal/turns"
)

// takeTurn waits for the turn of a key. It returns ErrBusy if too many wait already
// or the wait is too long, or the context's error. leave may be called more than
// once.
func (c *Core) takeTurn(ctx context.Context, key string) (leave func(), err error) {
	leave, err = c.turns.Take(ctx, key)
	if errors.Is(err, turns.ErrBusy) {
		err = ErrBusy
	}
	return leave, err
}
