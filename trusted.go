package auth

import (
	"encoding/binary"
	"time"

	"github.com/go-login/auth/internal/wire"
)

// A trusted browser is a record with a cookie of its own. A password login of its account in
// this browser owes no second factor. The record names the Stamp of the account, so every
// change of a credential or a factor ends the trust.
const (
	trustVersion = 1
	maxTrusted   = 20 // browsers of one account; one more ends the oldest
)

// trust is the record of a trusted browser, read.
type trust struct {
	record         Record
	stamp          string
	created        time.Time
	address, agent string
}

func (t *trust) encode() {
	b := wire.AppendText([]byte{trustVersion}, t.stamp)
	b = binary.AppendVarint(b, t.created.Unix())
	t.record.Data = wire.AppendText(wire.AppendText(b, t.address), t.agent)
}

func decodeTrust(record Record) (trust, bool) {
	r := wire.NewReader(string(record.Data))
	if r.Byte() != trustVersion {
		return trust{}, false
	}
	t := trust{record: record, stamp: r.Text(), created: time.Unix(r.Varint(), 0)}
	t.address, t.agent = r.Text(), r.Text()
	return t, r.OK()
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
