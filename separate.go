package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// maxNameLength is the longest Config.Name in bytes. It keeps the kind of a record far
// shorter than stores allow.
const maxNameLength = 32

// checkName checks Config.Name.
func checkName(name string) error {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	if len(name) > maxNameLength || strings.Trim(name, allowed) != "" {
		return fmt.Errorf("auth: Config.Name is %q; use 1 to %d letters, digits, -, _ and dots, or leave it empty", name, maxNameLength)
	}
	return nil
}

// separate returns a store in which a Manager with this Config.Name sees only its own
// records. All kinds of records pass through here. The keyring separates what is sealed
// or signed.
func separate(store RecordStore, name string) RecordStore {
	if name == "" {
		return store
	}
	return &separated{store, "@" + name + "/"} // none of our kinds begins with @
}

// A separated is a RecordStore that puts a prefix before the kind of each record.
type separated struct {
	store  RecordStore
	prefix string
}

func (s *separated) InsertRecord(ctx context.Context, r Record) error {
	r.Kind = s.prefix + r.Kind
	return s.store.InsertRecord(ctx, r)
}

func (s *separated) GetRecord(ctx context.Context, kind, key string) (Record, error) {
	r, err := s.store.GetRecord(ctx, s.prefix+kind, key)
	r.Kind = kind
	return r, err
}

func (s *separated) UpdateRecord(ctx context.Context, r Record) error {
	r.Kind = s.prefix + r.Kind
	return s.store.UpdateRecord(ctx, r)
}

func (s *separated) TakeRecord(ctx context.Context, kind, key string) (Record, error) {
	r, err := s.store.TakeRecord(ctx, s.prefix+kind, key)
	r.Kind = kind
	return r, err
}

func (s *separated) ListRecords(ctx context.Context, kind, userID string) ([]Record, error) {
	records, err := s.store.ListRecords(ctx, s.prefix+kind, userID)
	records = slices.Clone(records) // the store may keep the list
	for i := range records {
		records[i].Kind = kind
	}
	return records, err
}

func (s *separated) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	return s.store.DeleteRecords(ctx, s.prefix+kind, userID, keep...)
}
