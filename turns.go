package auth

import (
	"context"
	"errors"

	"github.com/go-login/auth/internal/turns"
)

// takeTurn waits until no other request of this process works under the same key; see
// turns.ByKey.Take. The caller must call leave, and may call it more than once. The
// error is ErrBusy or that of ctx.
func (c *Core) takeTurn(ctx context.Context, key string) (leave func(), err error) {
	leave, err = c.turns.Take(ctx, key)
	if errors.Is(err, turns.ErrBusy) {
		err = ErrBusy
	}
	return leave, err
}
