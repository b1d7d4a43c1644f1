package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"net/url"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// This file recognises a form that a browser sends twice: the user clicks twice, or goes
// back and sends the form again. Such a form carries a nonce, which is sealed and contains
//
//	marks    48 bytes: the browser in which the form was shown
//	form     the rest: the form's name
//
// The first submission stores a record under the nonce's hash:
//
//	version  1 byte
//	worker   text (see internal/wire): the Core that is at work; empty when it is done
//	claimed  varint: when the work began, in Unix milliseconds
//	mac      text: a keyed hash of the fields
//	marks    48 bytes: the browser, as it is known after the work
//	outcome  the rest: the outcome of the work
//
// The nonce itself goes into the mac and is not stored. So an attacker who has the record
// and Config.Secrets still cannot test guesses of a password against the mac.
const (
	nonceHeader = 3 * markLength
	nonceFor    = 10 * time.Minute
	maxNonce    = 1024 // of text

	formTimeout = 30 * time.Second // for the work, which goes on after the client has gone
	formDied    = time.Minute      // after this time, the process that made an unfinished claim counts as dead
)

// FormNonce returns a nonce for FormOnce. form is your name for the form. Put the nonce
// into a hidden field of that form. It is valid for 10 minutes, and only for that form.
// If the browser has a session cookie, or is known by an earlier login, the nonce is
// valid only in this browser. The page must not be cached, because every form that is
// shown needs its own nonce.
func (c *Core) FormNonce(ctx context.Context, form string) string {
	until := c.cfg.Now().Add(nonceFor)
	return c.secrets.Seal(purposeNonce, append(c.marks(ctx).appendTo(nil), form...), until)
}

// FormOnce runs do for a submission of a form, but not for a repetition of it. If do
// has already succeeded for the same nonce, form and fields, FormOnce returns its
// outcome again, and repeated is true. The outcome is any text from which the handler
// can show the same page again, such as the URL of a redirect. fields are the posted
// fields without the nonce.
//
// If do fails, its error is returned, nothing is stored, and the form can be sent
// again. In these cases do runs, and nothing is stored: the nonce is missing, expired,
// forged, or of another form or browser, or it was used with other fields.
//
// If two submissions arrive at the same time and one process serves both, the second
// waits for the first. If different processes serve them, the second gets ErrFormBusy.
// When a user clicks twice, the browser drops the first request. So with a valid nonce,
// do goes on for at most 30 seconds after the client has hung up. If more than 64
// repetitions wait, the error is ErrBusy. The other errors are the context's and a
// failure of the store.
//
// A repetition does not prove who sends it, so never log in a user by its outcome.
func (c *Core) FormOnce(ctx context.Context, form, nonce string, fields url.Values, do func(context.Context) (outcome string, err error)) (outcome string, repeated bool, err error) {
	defer c.met(ctx, &err)
	shown, expires, good := c.openNonce(form, nonce)
	if !good {
		outcome, err = do(ctx)
		return outcome, false, err
	}
	s := submission{record: Record{Kind: kindForm, Key: keyring.TokenKey(nonce), Version: keyring.RandomVersion(), Expires: expires}}
	leave, err := c.takeTurn(ctx, s.record.Key)
	if err != nil {
		return "", false, err
	}
	defer leave()
	signed := append(wire.AppendText(nil, nonce), fields.Encode()...)
	s.mac = c.secrets.Sign(purposeFields, signed)
	switch first, err := c.firstOf(ctx, &s, shown); {
	case err != nil:
		return "", false, err
	case first == nil:
		outcome, err = c.doForm(ctx, s, do)
		return outcome, false, err
	case !c.secrets.Verify(purposeFields, signed, first.mac):
		outcome, err = do(ctx)
		return outcome, false, err
	case first.worker == "":
		return first.outcome, true, nil
	}
	return "", false, ErrFormBusy
}

// A submission is the decoded record of a submission.
type submission struct {
	record  Record
	worker  string
	claimed time.Time
	mac     []byte
	marks   marks // zero before the work is done
	outcome string
}

func (s *submission) encode() {
	b := binary.AppendVarint(wire.AppendText([]byte{formatVersion}, s.worker), s.claimed.UnixMilli())
	s.record.Data = append(s.marks.appendTo(wire.AppendText(b, s.mac)), s.outcome...)
}

// decodeSubmission decodes a record. If the record is damaged, the submission has no
// mac, so no fields fit it.
func decodeSubmission(record Record) submission {
	r := wire.NewReader(string(record.Data))
	if r.Byte() != formatVersion {
		return submission{record: record}
	}
	s := submission{record: record, worker: r.Text(), claimed: time.UnixMilli(r.Varint()), mac: []byte(r.Text())}
	if !r.OK() || len(r.Rest()) < len(s.marks)*markLength {
		return submission{record: record}
	}
	s.outcome = s.marks.read(r.Rest())
	return s
}

// firstOf returns the submission that s repeats. If there is none, it claims s and
// returns nil. If the request comes from another browser, it returns an empty
// submission, which no fields fit. A browser also counts as the same if it has the
// cookies that the answer to the first submission set.
func (c *Core) firstOf(ctx context.Context, s *submission, shown marks) (*submission, error) {
	now := c.marks(ctx)
	if shown.fit(now) {
		return c.claimForm(ctx, s)
	}
	record, err := c.records.GetRecord(ctx, kindForm, s.record.Key)
	if unlessNotFound(err) != nil {
		return nil, err
	}
	if found := decodeSubmission(record); found.marks != (marks{}) && found.marks.fit(now) {
		return &found, nil
	}
	return &submission{}, nil
}

// claimForm stores the record of a submission whose work begins now. If there is a
// record already, it returns that, unless the work on it has stopped. The work has
// stopped if its process has died, or if the record is from this process: this request
// holds the turn, so an earlier request failed to delete its claim.
func (c *Core) claimForm(ctx context.Context, s *submission) (first *submission, err error) {
	ctx, cancel := detach(ctx)
	defer cancel()
	s.worker, s.claimed = c.instance, c.cfg.Now()
	s.encode()
	for range maxConflicts {
		err := c.records.InsertRecord(ctx, s.record)
		if !errors.Is(err, ErrRecordExists) {
			return nil, err
		}
		record, err := c.records.GetRecord(ctx, kindForm, s.record.Key)
		if errors.Is(err, ErrRecordNotFound) { // the first submission has just failed
			continue
		} else if err != nil {
			return nil, err
		}
		found := decodeSubmission(record)
		if found.worker == "" || found.worker != c.instance && s.claimed.Sub(found.claimed).Abs() < formDied {
			return &found, nil
		}
		s.record.Version = record.Version
		err = c.records.UpdateRecord(ctx, s.record)
		s.record.Version++
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrRecordNotFound) {
			return nil, err
		}
	}
	return nil, ErrFormBusy
}

// doForm does the work of a submission that was claimed, and stores the outcome. If the
// work fails or panics, the nonce can be used again.
func (c *Core) doForm(ctx context.Context, s submission, do func(context.Context) (string, error)) (outcome string, err error) {
	done := false
	defer func() {
		detached, cancel := detach(ctx)
		defer cancel()
		var failed error
		if done {
			s.worker, s.marks, s.outcome = "", c.marks(ctx), outcome
			s.encode()
			failed = unlessNotFound(c.records.UpdateRecord(detached, s.record)) // it may have expired
		} else {
			failed = take(detached, c.records, kindForm, s.record.Key)
		}
		if failed != nil { // for a minute, other processes answer ErrFormBusy
			c.event(ctx, Event{Kind: EventCleanupFailed, Err: failed})
		}
	}()
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), formTimeout)
	defer cancel()
	outcome, err = do(work)
	done = err == nil
	return outcome, err
}

// openNonce returns the browser that a nonce was made for, when the nonce expires, and
// whether it is valid for this form.
func (c *Core) openNonce(form, nonce string) (shown marks, expires time.Time, good bool) {
	if nonce == "" || len(nonce) > maxNonce {
		return shown, expires, false
	}
	data, expires, ok := c.secrets.Open(purposeNonce, nonce, c.cfg.Now())
	if !ok || len(data) < nonceHeader || string(data[nonceHeader:]) != form {
		return shown, expires, false
	}
	shown.read(string(data))
	return shown, expires, true
}

// marks identify a browser by its login, its session without a login, and its name from
// an earlier login (knownbrowser.go). Each mark is a hash; a missing one is zero. Other
// cookies are not used, because a form may remove them when it is submitted.
type marks [3][markLength]byte

const markLength = 16

func (m marks) appendTo(b []byte) []byte {
	for i := range m {
		b = append(b, m[i][:]...)
	}
	return b
}

// read reads marks from the beginning of a text, and returns the rest.
func (m *marks) read(text string) (rest string) {
	for i := range m {
		text = text[copy(m[i][:], text):]
	}
	return text
}

// marks returns the marks of the browser that makes the request, with the changes that
// the answer makes.
func (c *Core) marks(ctx context.Context) (m marks) {
	s := c.stateOf(ctx)
	if s == nil {
		return m
	}
	s.op.Lock()
	defer s.op.Unlock()
	s.varies = true
	switch {
	case s.cur.isLogin():
		copy(m[0][:], keyring.TokenKey(s.cur.header.loginID))
	case s.cur != nil:
		copy(m[1][:], s.cur.key)
	}
	browser, _, _ := s.browser()
	if set, ok := s.setting(c.cookies.browser); ok {
		if data, _, ok := c.secrets.Open(purposeBrowser, set.value, c.cfg.Now()); ok {
			browser = data[:browserID]
		}
	}
	if browser != nil {
		copy(m[2][:], keyring.TokenKey(string(browser)))
	}
	return m
}

// fit reports whether a form that was shown to a browser with the marks m may come from
// a browser with the marks now. The first mark that both browsers have decides. If the
// browser had no marks when the form was shown, every browser fits.
func (m marks) fit(now marks) bool {
	none, bound := [markLength]byte{}, false
	for i := range m {
		if m[i] == none {
			continue
		}
		if bound = true; now[i] != none {
			return m[i] == now[i]
		}
	}
	return !bound
}
