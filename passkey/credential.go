package passkey

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/factorkit"
	"github.com/go-login/auth/internal/invisible"
	"github.com/go-login/auth/internal/wire"
)

const (
	maxPasskeys  = 20 // of an account
	maxName      = 64 // characters
	handleLength = 64 // bytes, which is also the most that WebAuthn allows
)

// A credential is what the record of a passkey has in it:
//
//	version     byte: 1
//	id          text: what the authenticator calls it
//	key         text: the public key (COSE)
//	rpID        text: the site that it is for
//	handle      text: the user handle that the authenticator keeps with it
//	aaguid      text: 16 bytes, the kind of program or device that keeps it
//	transports  text: how the browser reaches it, separated by commas
//	name        text: what the user calls it; empty: by its aaguid
//	flags       byte: 1 eligible, 2 backed up, 4 suspended
//	count       uvarint: the last signature counter
//	created     varint: nanoseconds since 1970
//	used        varint: likewise; 0: not yet
//
// None of it is secret. The record's key is the hash of the ID, and the store refuses a
// second record with the same key. So one passkey is never two accounts'.
type credential struct {
	userID string // of the record
	key    string // of the record

	id         []byte
	publicKey  []byte
	rpID       string
	handle     []byte
	aaguid     [16]byte
	transports []string
	name       string
	eligible   bool
	backedUp   bool
	suspended  bool
	count      uint32
	created    time.Time
	used       time.Time
}

const (
	credentialVersion = 1

	flagEligible  = 1
	flagBackedUp  = 2
	flagSuspended = 4
)

func (c credential) encode() []byte {
	b := []byte{credentialVersion}
	b = wire.AppendText(wire.AppendText(b, c.id), c.publicKey)
	b = wire.AppendText(wire.AppendText(b, c.rpID), c.handle)
	b = wire.AppendText(wire.AppendText(b, c.aaguid[:]), strings.Join(c.transports, ","))
	b = wire.AppendText(b, c.name)
	var flags byte
	for flag, set := range map[byte]bool{flagEligible: c.eligible, flagBackedUp: c.backedUp, flagSuspended: c.suspended} {
		if set {
			flags |= flag
		}
	}
	b = binary.AppendUvarint(append(b, flags), uint64(c.count))
	return binary.AppendVarint(binary.AppendVarint(b, toNano(c.created)), toNano(c.used))
}

// decodeCredential reads a record. If it is damaged, ok is false.
func decodeCredential(record auth.Record) (c credential, ok bool) {
	r := wire.NewReader(string(record.Data))
	if r.Byte() != credentialVersion {
		return credential{}, false
	}
	c = credential{userID: record.UserID, key: record.Key, id: []byte(r.Text()), publicKey: []byte(r.Text()), rpID: r.Text(), handle: []byte(r.Text())}
	aaguid := r.Text()
	if transports := r.Text(); transports != "" {
		c.transports = strings.Split(transports, ",")
	}
	c.name = r.Text()
	flags, count := r.Byte(), r.Uvarint()
	c.eligible, c.backedUp, c.suspended = flags&flagEligible != 0, flags&flagBackedUp != 0, flags&flagSuspended != 0
	c.created, c.used = fromNano(r.Varint()), fromNano(r.Varint())
	copy(c.aaguid[:], aaguid)
	c.count = uint32(count)
	return c, r.OK() && r.Rest() == "" && len(aaguid) == len(c.aaguid) && uint64(c.count) == count
}

func toNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNano(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// shown returns what the user is told about a passkey.
func (f *Factor) shown(c credential) auth.Passkey {
	return auth.Passkey{
		ID: strings.TrimPrefix(c.key, credentialPrefix), Name: cmp.Or(c.name, providerName(c.aaguid)), Created: c.created, LastUsed: c.used.Truncate(time.Millisecond),
		Synced: c.backedUp, Suspended: c.suspended, OtherSite: c.rpID != f.rpID,
	}
}

// credentials returns the passkeys of a user, the oldest first. One whose record is damaged is
// among them: it is suspended, so that nobody logs in with it and the user can remove it.
func (f *Factor) credentials(ctx context.Context, userID string) ([]credential, error) {
	records, err := f.feature.List(ctx, userID)
	if err != nil {
		return nil, err
	}
	var list []credential
	for _, r := range records {
		if !strings.HasPrefix(r.Key, credentialPrefix) {
			continue
		}
		c, ok := decodeCredential(r)
		if !ok {
			c = credential{userID: r.UserID, key: r.Key, rpID: f.rpID, suspended: true}
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b credential) int {
		return cmp.Or(a.created.Compare(b.created), strings.Compare(a.key, b.key))
	})
	return list, nil
}

// ofThisSite returns the passkeys that a browser can use on this site.
func (f *Factor) ofThisSite(list []credential) []credential {
	return slices.DeleteFunc(slices.Clone(list), func(c credential) bool { return len(c.id) == 0 || c.rpID != f.rpID })
}

// Passkeys implements auth.PasskeyFactor.
func (f *Factor) Passkeys(ctx context.Context, userID string) ([]auth.Passkey, error) {
	if err := f.check(userID); err != nil {
		return nil, err
	}
	list, err := f.credentials(ctx, userID)
	if err != nil {
		return nil, err
	}
	shown := make([]auth.Passkey, 0, len(list))
	for _, c := range list {
		shown = append(shown, f.shown(c))
	}
	return shown, nil
}

// Enrolled implements auth.Factor. Each passkey counts, also one that is suspended or for
// another site: what a login must show does not become less by what happens to a passkey.
func (f *Factor) Enrolled(ctx context.Context, userID string) (bool, error) {
	if err := f.check(userID); err != nil {
		return false, err
	}
	list, err := f.credentials(ctx, userID)
	return len(list) > 0, err
}

// Rename implements auth.PasskeyFactor. Of the name, it keeps what can be seen, and 64
// characters at most. Without a name, the passkey is called by what keeps it.
func (f *Factor) Rename(ctx context.Context, userID, id, name string) error {
	if err := f.check(userID); err != nil {
		return err
	}
	name = cleanName(name)
	err := f.feature.Change(ctx, credentialPrefix+id, func(r *auth.Record) error {
		c, ok := decodeCredential(*r)
		if !ok || r.UserID != userID {
			return auth.ErrNoFactor
		}
		c.name = name
		r.Data = c.encode()
		return nil
	})
	if errors.Is(err, auth.ErrRecordNotFound) {
		err = auth.ErrNoFactor
	}
	return err
}

func cleanName(name string) string {
	name = strings.TrimSpace(invisible.Strip(strings.ToValidUTF8(name, "")))
	for i := range name {
		if utf8.RuneCountInString(name[:i]) == maxName {
			return strings.TrimSpace(name[:i])
		}
	}
	return name
}

// RemoveOne implements auth.PasskeyFactor.
func (f *Factor) RemoveOne(ctx context.Context, userID, id string) error {
	if err := f.check(userID); err != nil {
		return err
	}
	r, err := f.feature.Get(ctx, credentialPrefix+id)
	if err == nil && r.UserID == userID {
		_, err = f.feature.Take(ctx, credentialPrefix+id)
	}
	if errors.Is(err, auth.ErrRecordNotFound) {
		return nil
	}
	return err
}

// Remove implements auth.Enroller. It keeps the user handle: with it, Known tells the browser
// to forget the passkeys, and a passkey that is added later takes their place in the
// password manager. Core.CloseAccount deletes the handle, too.
func (f *Factor) Remove(ctx context.Context, userID string) error {
	if err := f.check(userID); err != nil {
		return err
	}
	return f.feature.Delete(ctx, userID, handleKey(userID))
}

// Known implements auth.PasskeyFactor. It returns nil for a user who never had a passkey.
func (f *Factor) Known(ctx context.Context, user auth.User) (any, error) {
	userID := factorkit.UserID(user)
	if err := f.check(userID); err != nil {
		return nil, err
	}
	handle, err := f.storedHandle(ctx, userID)
	if errors.Is(err, auth.ErrRecordNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := f.credentials(ctx, userID)
	if err != nil {
		return nil, err
	}
	name := nameOf(user.AuthAccount())
	k := known{RPID: f.rpID, UserID: encode(handle), CredentialIDs: []string{}, Name: name, DisplayName: name}
	for _, c := range list {
		if len(c.id) == 0 { // its record is damaged, and the browser would forget the passkey for good
			return nil, nil
		}
		if c.rpID == f.rpID {
			k.CredentialIDs = append(k.CredentialIDs, encode(c.id))
		}
	}
	return k, nil
}

// The user handle is what the authenticator keeps beside a passkey, and returns at a login.
// It is the same for all passkeys of an account: password managers then show one entry for
// the account. It is random, because a website may not put the user's ID into it: it can be
// read without a login (WebAuthn Level 3, 14.6.1).
const handleVersion = 1

// storedHandle returns the user's handle, or auth.ErrRecordNotFound.
func (f *Factor) storedHandle(ctx context.Context, userID string) ([]byte, error) {
	r, err := f.feature.Get(ctx, handleKey(userID))
	if err != nil {
		return nil, err
	}
	if len(r.Data) != 1+handleLength || r.Data[0] != handleVersion {
		return nil, errDamagedHandle
	}
	return r.Data[1:], nil
}

// handle returns the user's handle, and makes it if there is none.
func (f *Factor) handle(ctx context.Context, userID string) ([]byte, error) {
	for range maxRounds {
		handle, err := f.storedHandle(ctx, userID)
		if !errors.Is(err, auth.ErrRecordNotFound) {
			return handle, err
		}
		data := make([]byte, 1+handleLength)
		data[0] = handleVersion
		_, _ = rand.Read(data[1:]) // never fails
		err = f.feature.Insert(ctx, auth.Record{Key: handleKey(userID), UserID: userID, Data: data})
		if !errors.Is(err, auth.ErrRecordExists) {
			return data[1:], err
		}
	}
	return nil, auth.ErrConflict
}

// The keys of records. IDs may be longer than a key, so they are hashed.
const (
	credentialPrefix = "credential/"
	sitesKey         = "sites"
)

func credentialKey(id []byte) string   { return credentialPrefix + hash(id) }
func handleKey(userID string) string   { return "handle/" + hash([]byte(userID)) }
func pendingKey(userID string) string  { return "pending/" + hash([]byte(userID)) }
func spentKey(challenge []byte) string { return "spent/" + hash(challenge) }

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return encode(sum[:])
}
