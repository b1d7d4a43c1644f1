package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

// event tells the log and Config.OnEvent.
func (c *Core) event(ctx context.Context, e Event) {
	e.Time = c.cfg.Now()
	var refused *PasswordError
	if errors.As(e.Err, &refused) { // without what Password.Check says: it has seen the password
		e.Err = &PasswordError{Reason: refused.Reason, Min: refused.Min}
	}
	if s := c.clientOf(ctx); s != nil {
		e.Address, e.UserAgent = s.address(), s.agent()
	}
	attrs := make([]slog.Attr, 0, 6)
	attrs = append(attrs, slog.String("event", string(e.Kind)))
	for _, a := range []slog.Attr{
		slog.String("user", e.UserID), slog.String("address", e.Address),
		slog.String("agent", e.UserAgent), slog.String("method", e.Method),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	level := slog.LevelInfo
	if e.Err != nil {
		if e.Kind != EventAccessDenied || !errors.Is(e.Err, ErrNotLoggedIn) { // which every link to a guarded page brings
			level = slog.LevelWarn
		}
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	c.cfg.Logger.LogAttrs(ctx, level, "auth", attrs...)
	if c.cfg.OnEvent == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.cfg.Logger.ErrorContext(ctx, "auth: OnEvent panicked", slog.String("event", string(e.Kind)), slog.String("panic", fmt.Sprint(p)))
		}
	}()
	c.cfg.OnEvent(ctx, e)
}

// note keeps an event for emit.
func (s *state) note(e Event) {
	s.noting.Lock()
	defer s.noting.Unlock()
	s.noted = append(s.noted, e)
}

// emit tells of what was noted. The caller holds no lock.
func (s *state) emit() {
	s.noting.Lock()
	events := s.noted
	s.noted = nil
	s.noting.Unlock()
	for _, e := range events {
		s.core.event(&s.ctx, e)
	}
}

// meet keeps a failure that the application is told of. The request is then
// answered by it, also if the handler takes no notice: see responseWriter.start.
func (s *state) meet(err error) {
	if errors.Is(err, ErrNotLoggedIn) { // as for most visitors: errors.As would allocate
		return
	}
	if f := (failure{}); !errors.As(err, &f) || statusOf(err) < http.StatusInternalServerError {
		return
	}
	s.noting.Lock()
	defer s.noting.Unlock()
	if s.met == nil {
		s.met = err
	}
}

// hasMet returns the first failure that the application was told of, or nil.
func (s *state) hasMet() error {
	s.noting.Lock()
	defer s.noting.Unlock()
	return s.met
}

// met is meet for the error that a method is about to return.
func (c *Core) met(ctx context.Context, err *error) {
	if *err == nil {
		return
	}
	if s := c.requestOf(ctx); s != nil {
		s.meet(*err)
	}
}
