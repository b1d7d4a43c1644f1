package authmail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-login/auth"
	gomail "github.com/wneessen/go-mail"
)

// These errors say why a mail is not sent.
var (
	// ErrQueueFull is returned by Send if Config.Queue mails are waiting.
	ErrQueueFull = errors.New("authmail: the queue is full; see Config.Queue")

	// ErrClosed is returned by Send after Close was called. OnError gets it for
	// mails that Close left unsent.
	ErrClosed = errors.New("authmail: the mailer is closed")

	// ErrRefused means that the server refused the mail permanently, with a 5xx
	// reply.
	ErrRefused = errors.New("authmail: the server refused the mail")

	// ErrExpired means that the link has expired, or would have before the next
	// attempt.
	ErrExpired = errors.New("authmail: the link expired before the mail could be sent")
)

// The pauses between attempts: the first one, the factor, the longest one.
const (
	firstPause  = 5 * time.Second
	pauseFactor = 5
	longestWait = 15 * time.Minute
)

// A Mailer is an auth.Mailer that delivers over SMTP. Send puts a mail into a
// queue in memory. One goroutine, started by New and ended by Close, delivers
// the mails. A Mailer is safe for use by many goroutines.
//
// The goroutine connects when a mail is due, sends all due mails over one
// connection, and closes it. If the server cannot be reached, or replies with
// 4xx, the mail is tried again later and other mails continue. If the server
// replies with 5xx, or the link has expired meanwhile, the mail is given up. A
// mail that could not be sent is reported to OnError and logged.
//
// The queue is only in memory: mails that still wait are lost if the process
// dies. Call Close before it ends.
type Mailer struct {
	cfg      *settings
	renderer *Renderer
	clock    clock
	stop     context.CancelFunc // stops the goroutine at once
	wake     chan struct{}      // tells the goroutine that jobs or closing have changed
	done     chan struct{}      // closed when the goroutine has ended
	err      error              // the result of Close; read it after done is closed

	mu      sync.Mutex
	jobs    []*job // in the order of Send, including the one being sent
	closing bool
}

// A clock tells the time and wakes up later. Tests have their own.
type clock struct {
	now   func() time.Time
	after func(time.Duration) <-chan time.Time
}

// A job is a mail in the queue. Only the goroutine uses it, except for due,
// which the mutex guards.
type job struct {
	mail     auth.Mail
	data     Data
	queued   time.Time
	due      time.Time // the time of the next attempt
	attempts int       // made so far
	msg      *gomail.Msg
}

// New makes a Mailer and starts its goroutine. It does not connect: an error is
// about cfg or its templates.
func New(cfg Config) (*Mailer, error) {
	return newMailer(cfg, clock{time.Now, time.After})
}

func newMailer(cfg Config, c clock) (*Mailer, error) {
	s, err := newSettings(cfg)
	if err != nil {
		return nil, err
	}
	r, err := NewRenderer(s.Content)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &Mailer{
		cfg: s, renderer: r, clock: c, stop: stop,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go m.run(ctx)
	return m, nil
}

// Send queues a mail. It never waits for the network. ctx does not stop the
// mail, because the request that sends it usually ends before the mail is
// delivered.
//
// Send returns ErrQueueFull, ErrClosed, or an error that wraps
// auth.ErrInvalidEmail, and those of Renderer.Render.
func (m *Mailer) Send(_ context.Context, mail auth.Mail) error {
	data, err := m.renderer.dataOf(mail)
	if err != nil {
		return err
	}
	now := m.clock.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closing:
		return ErrClosed
	case len(m.jobs) >= m.cfg.Queue:
		return ErrQueueFull
	}
	m.jobs = append(m.jobs, &job{mail: mail, data: data, queued: now, due: now})
	m.signal()
	return nil
}

// Close sends the mails that wait, and ends the mailer. Mails that were to be
// tried again later are tried at once, and after that with the usual pauses. If
// ctx ends first, the remaining mails are not sent, OnError gets ErrClosed for
// each, and the error says how many there were. Close may be called again, also
// by many goroutines at once; every call returns the same result.
func (m *Mailer) Close(ctx context.Context) error {
	m.mu.Lock()
	if !m.closing {
		m.closing = true
		for _, j := range m.jobs {
			j.due = j.queued
		}
	}
	m.signal()
	m.mu.Unlock()
	select {
	case <-m.done:
	case <-ctx.Done():
		m.stop()
		<-m.done
	}
	return m.err
}

func (m *Mailer) signal() {
	select {
	case m.wake <- struct{}{}:
	default: // the goroutine has a signal already
	}
}

// run is the mailer's goroutine.
func (m *Mailer) run(ctx context.Context) {
	defer close(m.done)
	defer m.stop()
	var conn *connection
	for ctx.Err() == nil {
		j, wait, left := m.next() // left is negative after the last job
		if j != nil {
			conn = m.deliver(ctx, conn, j)
			continue
		}
		if conn != nil {
			conn.quit()
			conn = nil
			continue // quit may have taken long: look for due jobs again
		}
		if left < 0 {
			return
		}
		var later <-chan time.Time
		if left > 0 {
			later = m.clock.after(wait)
		}
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-later:
		}
	}
	if conn != nil {
		conn.drop()
	}
	m.abandon()
}

// next returns the first job that is due. If none is, it returns the time until
// the next one, and the number of jobs: -1 if there are none and Close was
// called.
func (m *Mailer) next() (due *job, wait time.Duration, left int) {
	now := m.clock.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, j := range m.jobs {
		switch d := j.due.Sub(now); {
		case d <= 0:
			return j, 0, len(m.jobs)
		case i == 0 || d < wait:
			wait = d
		}
	}
	if m.closing && len(m.jobs) == 0 {
		return nil, 0, -1
	}
	return nil, wait, len(m.jobs)
}

// deliver makes one attempt at a job, over conn if it is not nil. It returns
// the connection to use for the next job.
func (m *Mailer) deliver(ctx context.Context, conn *connection, j *job) *connection {
	if j.expires(m.clock.now()) {
		m.giveUp(j, ErrExpired)
		return conn
	}
	if j.msg == nil {
		msg, err := m.renderer.render(j.mail.Kind, j.data)
		if err != nil {
			m.giveUp(j, m.redacted(j, err))
			return conn
		}
		j.msg = message(m.cfg.from, msg, j.queued)
	}
	for {
		fresh := conn == nil
		if fresh {
			var err error
			if conn, err = dial(ctx, m.cfg); err != nil {
				m.unreachable(ctx, err)
				return nil
			}
		}
		err := conn.send(j.msg, j.data.Email)
		if err == nil {
			j.attempts++
			m.remove(j)
			m.log(slog.LevelDebug, "mail-sent", j)
			return conn
		}
		code := replyCode(err)
		if code == 0 {
			conn.drop()
		} else {
			conn.quit()
		}
		conn = nil
		// A server may end a connection after some mails. That is not a failure
		// of this mail.
		if fresh || code != 0 && code != 421 {
			m.failed(ctx, j, err)
			return nil
		}
	}
}

// unreachable counts a failed connection as an attempt at every job that is
// due. A server that hangs is therefore tried once, not once per mail.
func (m *Mailer) unreachable(ctx context.Context, err error) {
	now := m.clock.now()
	m.mu.Lock()
	due := slices.DeleteFunc(slices.Clone(m.jobs), func(j *job) bool { return j.due.After(now) })
	m.mu.Unlock()
	for _, j := range due {
		m.failed(ctx, j, err)
	}
}

// failed decides what to do with a job after a failed attempt.
func (m *Mailer) failed(ctx context.Context, j *job, err error) {
	if ctx.Err() != nil {
		return // Close stopped the mailer; see abandon
	}
	j.attempts++
	code := replyCode(err)
	err = m.redacted(j, err)
	if code >= 500 {
		m.giveUp(j, fmt.Errorf("%w: %w", ErrRefused, err))
		return
	}
	if j.attempts >= m.cfg.Attempts {
		m.giveUp(j, err)
		return
	}
	wait := firstPause
	for range j.attempts - 1 {
		wait = min(pauseFactor*wait, longestWait)
	}
	due := m.clock.now().Add(wait)
	if j.expires(due) {
		m.giveUp(j, fmt.Errorf("%w: %w", ErrExpired, err))
		return
	}
	m.mu.Lock()
	j.due = due
	m.mu.Unlock()
	m.log(slog.LevelWarn, "mail-delayed", j, slog.Duration("wait", wait), slog.String("error", err.Error()))
}

// expires reports whether the job's link has expired at t.
func (j *job) expires(t time.Time) bool {
	return j.mail.Lifetime > 0 && !t.Before(j.queued.Add(j.mail.Lifetime))
}

// redacted returns an error with err's text, without the link, the code and the password.
func (m *Mailer) redacted(j *job, err error) error {
	return errors.New(redact(err.Error(), j.data.Link, j.data.Code, m.cfg.Password.Reveal()))
}

// giveUp removes a job that will not be sent, and reports it.
func (m *Mailer) giveUp(j *job, err error) {
	m.remove(j)
	m.log(slog.LevelError, "mail-failed", j, slog.String("error", err.Error()))
	if j.mail.Failed != nil {
		j.mail.Failed(err) // emits an event; it does not panic
	}
	if m.cfg.OnError == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			err := m.redacted(j, fmt.Errorf("%v", p))
			m.log(slog.LevelError, "on-error-panicked", j, slog.String("error", err.Error()))
		}
	}()
	m.cfg.OnError(j.mail, err)
}

// abandon gives up all remaining jobs.
func (m *Mailer) abandon() {
	m.mu.Lock()
	left := slices.Clone(m.jobs)
	m.mu.Unlock()
	for _, j := range left {
		m.giveUp(j, ErrClosed)
	}
	if len(left) > 0 {
		m.err = fmt.Errorf("authmail: Close ended before all mails were sent: %d unsent", len(left))
	}
}

func (m *Mailer) remove(j *job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs = slices.DeleteFunc(m.jobs, func(other *job) bool { return other == j })
}

func (m *Mailer) log(level slog.Level, event string, j *job, more ...slog.Attr) {
	m.cfg.Logger.LogAttrs(context.Background(), level, "authmail", append([]slog.Attr{
		slog.String("event", event), slog.String("kind", string(j.mail.Kind)),
		slog.String("to", j.data.Email), slog.Int("attempts", j.attempts),
	}, more...)...)
}
