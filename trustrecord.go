package auth

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/go-login/auth/internal/wire"
)

// A trusted browser is a record with a cookie of its own. A password login of its account in
// this browser owes no second factor. The record names the Stamp of the account, so every
// change of a credential or a factor ends the trust.
const (
	trustVersion = 2
	maxTrusted   = 20 // browsers of one account; one more ends the oldest
)

// trust is the decoded record of a trusted browser.
type trust struct {
	record         Record
	stamp          string
	created        time.Time
	login          string // Login.ID of the login that gave the trust
	address, agent string
}

func (t *trust) encode() {
	b := wire.AppendText([]byte{trustVersion}, t.stamp)
	b = wire.AppendText(binary.AppendVarint(b, t.created.Unix()), t.login)
	t.record.Data = wire.AppendText(wire.AppendText(b, t.address), t.agent)
}

func decodeTrust(record Record) (trust, bool) {
	r := wire.NewReader(string(record.Data))
	if r.Byte() != trustVersion {
		return trust{}, false
	}
	t := trust{record: record, stamp: r.Text(), created: time.Unix(r.Varint(), 0)}
	t.login, t.address, t.agent = r.Text(), r.Text(), r.Text()
	return t, r.OK()
}

// trustsOf returns a user's trusted browsers.
func (c *Core) trustsOf(ctx context.Context, userID string) ([]trust, error) {
	records, err := c.records.ListRecords(ctx, kindTrusted, userID)
	if err != nil {
		return nil, err
	}
	var all []trust
	for _, r := range records {
		if t, ok := decodeTrust(r); ok {
			all = append(all, t)
		}
	}
	return all, nil
}

// endTrusts ends the trust in some of a user's browsers, and the logins that were made without
// a factor because of it, except the current one.
func (c *Core) endTrusts(ctx context.Context, userID string, current header, which func(trust) bool) error {
	if c.cfg.TrustFor == 0 {
		return nil
	}
	all, err := c.trustsOf(ctx, userID)
	if err != nil {
		return err
	}
	var ended []time.Time
	for _, t := range all {
		if which(t) {
			if err := take(ctx, c.records, kindTrusted, t.record.Key); err != nil {
				return err
			}
			ended = append(ended, t.created)
		}
	}
	if len(ended) == 0 {
		return nil
	}
	_, err = c.endWhere(ctx, userID, func(h header) bool {
		at, ok := h.methods.at(methodTrusted)
		return ok && slices.ContainsFunc(ended, at.Equal) && !c.hasFactor(h.methods) && loginHandle(h) != loginHandle(current)
	})
	if err == nil {
		c.event(ctx, Event{Kind: EventTrustEnded, UserID: userID})
	}
	return err
}

// trusted notes in the attempt that its user has trusted this browser. The login is then
// not fresh: a page that asks for a fresh login asks for the factor. A remembered device
// has no need of it, and neither has a login that has shown a factor.
func (s *state) trusted(a *attempt) error {
	c := s.core
	s.op.Lock()
	key := s.sentKey(c.cookies.trusted)
	s.op.Unlock()
	if key == "" || c.cfg.TrustFor == 0 || a.device != nil || c.hasFactor(a.methods) {
		return nil
	}
	record, err := c.records.GetRecord(&s.ctx, kindTrusted, key)
	if err != nil {
		return unlessNotFound(err)
	}
	t, ok := decodeTrust(record)
	account := a.user.AuthAccount()
	if ok && record.UserID == account.ID && c.trustEnds(t.created).After(c.cfg.Now()) && invalid(t.stamp, a.user) == nil {
		a.methods, a.stale = a.methods.add(methodTrusted, t.created), true
	}
	return nil
}
