package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// A login that owes a second factor is a pending record with a cookie of its own. No
// guard accepts it, and there is no session until the user has shown everything. It is
// for one account under its present Stamp, and is taken once.
//
// A pending record that ConfirmLogin makes can only confirm the login that made the
// request. Without that login it is worthless.
const (
	pendingLifetime = 5 * time.Minute

	// maxPendingTries is how many answers one pending login may bring, over all
	// factors. Feature.Count also counts attempts at an account, across pending logins.
	maxPendingTries = 5

	maxPrivate     = 4096 // bytes that a factor may keep in a pending login
	pendingVersion = 1
)

// pending is a decoded pending record.
type pending struct {
	record   Record
	user     User
	stamp    string
	methods  methods
	loginID  string // of the login that it confirms; empty if it makes a new one
	remember time.Duration
	stale    bool
	tries    uint64
	factor   string // the factor that was prompted for last
	private  []byte // what its Prompt returned
	identity string // the ID of the identity that was shown, or ""
}

func (p *pending) encode() {
	b := wire.AppendText([]byte{pendingVersion}, p.stamp)
	b = wire.AppendText(wire.AppendText(b, string(p.methods)), p.loginID)
	b = append(binary.AppendVarint(b, int64(p.remember)), flag(p.stale))
	b = wire.AppendText(binary.AppendUvarint(b, p.tries), p.factor)
	p.record.Data = wire.AppendText(wire.AppendText(b, string(p.private)), p.identity)
}

func decodePending(record Record) (*pending, bool) {
	r := wire.NewReader(string(record.Data))
	if r.Byte() != pendingVersion {
		return nil, false
	}
	p := &pending{record: record, stamp: r.Text(), methods: methods(r.Text()), loginID: r.Text()}
	p.remember, p.stale = time.Duration(r.Varint()), r.Byte() == 1
	p.tries, p.factor, p.private = r.Uvarint(), r.Text(), []byte(r.Text())
	if r.Rest() != "" { // a process of an earlier version writes no identity
		p.identity = r.Text()
	}
	return p, r.OK()
}

// wait stores an attempt until the user shows the factor that it owes. owed is the
// ErrFactorRequired of the gate. wait returns it, or a failure.
func (s *state) wait(a *attempt, loginID string, owed error) error {
	if err := s.suspend(&s.ctx, a, loginID); err != nil {
		return err
	}
	s.note(Event{Kind: EventLoginPending, UserID: idOf(a.user), Method: a.methods.String(), Err: owed})
	return owed
}

// suspend stores an attempt that owes a factor until ContinueLogin. loginID names the
// login that the attempt is to confirm, or is empty.
func (s *state) suspend(ctx context.Context, a *attempt, loginID string) error {
	ctx, cancel := detach(ctx)
	defer cancel()
	token, account, now := keyring.NewToken(), a.user.AuthAccount(), s.core.cfg.Now()
	p := pending{
		record: Record{
			Kind: kindPending, Key: keyring.TokenKey(token), UserID: account.ID,
			Version: keyring.RandomVersion(), Expires: now.Add(pendingLifetime),
		},
		stamp: account.Stamp.Reveal(), methods: a.methods, loginID: loginID, remember: a.remember, stale: a.stale,
		identity: a.identity,
	}
	p.encode()
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case s.committed:
		return ErrHeaderWritten
	}
	if err := s.dropPending(ctx); err != nil { // an earlier one of this browser
		return err
	}
	if err := s.core.sessions.InsertRecord(ctx, p.record); err != nil {
		return err
	}
	s.setCookie(s.core.cookies.pending, token, p.record.Expires)
	s.seldom().suspended = keyring.TokenKey(token)
	return nil
}

// dropPending removes the request's pending login, and its cookie. The caller holds op.
func (s *state) dropPending(ctx context.Context) error {
	key := s.pendingKey()
	if key == "" {
		return nil
	}
	if err := take(ctx, s.core.sessions, kindPending, key); err != nil {
		return err
	}
	s.deleteCookie(s.core.cookies.pending)
	s.seldom().suspended = ""
	return nil
}

// pendingKey returns the key of the request's pending record, or "". The caller holds
// op.
func (s *state) pendingKey() string {
	if s.seldom().suspended != "" {
		return s.seldom().suspended
	}
	return s.sentKey(s.core.cookies.pending)
}

// pending reads the request's pending login, or returns ErrNoPending.
func (s *state) pending(ctx context.Context) (*pending, error) {
	s.op.Lock()
	key, cur := s.pendingKey(), s.cur
	s.op.Unlock()
	if key == "" {
		return nil, ErrNoPending
	}
	record, err := s.core.sessions.GetRecord(ctx, kindPending, key)
	if errors.Is(err, ErrRecordNotFound) {
		return nil, ErrNoPending
	} else if err != nil {
		return nil, err
	}
	p, ok := decodePending(record)
	if !ok || !s.core.cfg.Now().Before(record.Expires) || p.tries >= maxPendingTries {
		return nil, ErrNoPending
	}
	if p.loginID != "" && (!cur.isLogin() || cur.header.loginID != p.loginID) {
		return nil, ErrNoPending
	}
	switch p.user, err = s.core.users.load(ctx, record.UserID); {
	case errors.Is(err, ErrUserNotFound):
		return nil, ErrNoPending
	case err != nil:
		return nil, err
	case invalid(p.stamp, p.user) != nil:
		return nil, ErrNoPending
	}
	return p, nil
}

// takePending takes the pending record. If several requests bring a right answer, only
// one of them can take it. The caller holds op.
func (s *state) takePending(ctx context.Context, p *pending) error {
	_, err := s.core.sessions.TakeRecord(ctx, kindPending, p.record.Key)
	if errors.Is(err, ErrRecordNotFound) {
		return ErrNoPending
	} else if err != nil {
		return err
	}
	s.deleteCookie(s.core.cookies.pending)
	s.seldom().suspended = ""
	return nil
}
