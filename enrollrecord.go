package auth

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// A record of each account names the factors that the user has set up by EnrollFactor. The
// factors themselves know it, too, but only while they are in Config.Factors. If a process
// starts without one of them, its users still owe a second factor: an operator who forgets
// a line of the configuration opens no account.
//
// A name is written before its factor is stored, and deleted after the factor is. So a
// crash leaves a name too many, and never one too few. While the factor is in
// Config.Factors, a name too many has no effect: the factor is asked.

// An enrolment is a name in the record. The id differs each time the name is written. A
// removal deletes the enrolments that it has read at its beginning, and so it spares one
// that another process makes meanwhile.
type enrolment struct {
	name     string
	id       uint64
	at       int64 // Unix seconds: when the factor was set up, or the codes were made; 0: not known
	recovery bool  // it is a RecoveryFactor: the user owes none
}

// The record is
//
//	version  byte: 2
//	and for each enrolment
//	name     text (see internal/wire)
//	id       uvarint
//	at       varint
//	recovery   byte: 1 if it is a RecoveryFactor
//
// Records of version 1 have no at and no recovery.
const enrolledVersion = 2

const errEnrolments broken = "auth: the record that names a user's second factors is damaged; call Core.ResetFactors for this user"

func encodeEnrolments(all []enrolment) []byte {
	b := []byte{enrolledVersion}
	for _, e := range all {
		b = binary.AppendUvarint(wire.AppendText(b, e.name), e.id)
		b = append(binary.AppendVarint(b, e.at), flag(e.recovery))
	}
	return b
}

func decodeEnrolments(data []byte) (all []enrolment, err error) {
	r := wire.NewReader(string(data))
	version := r.Byte()
	if version != formatVersion && version != enrolledVersion {
		return nil, errEnrolments
	}
	for r.OK() && r.Rest() != "" {
		e := enrolment{name: r.Text(), id: r.Uvarint()}
		if version == enrolledVersion {
			e.at, e.recovery = r.Varint(), r.Byte() == 1
		}
		all = append(all, e)
	}
	if !r.OK() {
		return nil, errEnrolments
	}
	return all, nil
}

// enrolments returns what the user's record has.
func (c *Core) enrolments(ctx context.Context, userID string) ([]enrolment, error) {
	record, err := c.records.GetRecord(ctx, kindEnrolled, enrolledKey(userID))
	if errors.Is(err, ErrRecordNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return decodeEnrolments(record.Data)
}

func enrolledKey(userID string) string { return keyring.TokenKey("enrolled\x00" + userID) }
