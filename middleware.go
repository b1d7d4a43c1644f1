package auth

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-login/auth/internal/accept"
	"github.com/go-login/auth/internal/clientip"
	"github.com/go-login/auth/internal/origin"
)

// LoadAndSave wraps the whole application. It reads the session that the cookie names,
// and stores what changed before the response's header goes out.
//
// Wrap the router as a whole, whatever router it is, as in
//
//	http.ListenAndServe(addr, manager.LoadAndSave(router))
//
// and do not pass LoadAndSave to the router's Use: some routers write around it, and the
// cookies are then lost. docs/routers.md has the lines for several routers. Guards go where
// the router has its middleware.
//
// It refuses cross-origin requests that may change something. So a CORS middleware goes
// outside. Requests with neither Origin nor Sec-Fetch-Site, such as webhooks, pass.
//
// The handler gets a copy of the request. If the handler parses a multipart form, its
// temporary files are removed at the end. If a middleware inside makes a copy of its
// own (r.WithContext) and parses the form there, it must remove the files itself, by
// defer r.MultipartForm.RemoveAll().
//
// If a store fails, pages that ask for neither the user nor the session's data are
// still served. If any method returned the failure before the header is written, the
// answer is 503 with Retry-After, even if the handler ignored the error: its page may
// be the one for anonymous visitors. Cookies of ours that the request had set by then,
// such as that of a new login, go out with the 503.
func (c *Core) LoadAndSave(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.requestOf(r.Context()) != nil { // LoadAndSave is there twice
			next.ServeHTTP(w, r)
			return
		}
		s, sent := c.newState(w, r), r
		if len(r.Header["Cookie"]) > 0 {
			s.arrived = c.cfg.Now()
		}
		rw, r := &s.writer, &s.served
		defer handBack(r, sent)
		if origin.IsUnsafe(sent.Method) && !c.origins.Allows(sent, s.target()) {
			err := fmt.Errorf("%w: Origin %q, Sec-Fetch-Site %q, and this is %s", ErrCrossOrigin,
				cut(r.Header.Get("Origin"), 200), cut(r.Header.Get("Sec-Fetch-Site"), 20), c.site.origin)
			s.fail(err) // for an ErrorPage that asks for the user
			if accept.JSON(r) {
				s.json.Store(true) // the handler, which would say so (AnswerJSON), is not reached
			}
			c.event(&s.ctx, Event{Kind: EventRequestRefused, Err: err})
			c.Error(rw, r, err)
			return
		}
		if !s.mayBeOwn() {
			if err := s.load(); err != nil {
				// Methods that need the session return the error. Pages that do not
				// need it are served.
				s.fail(hidden(err))
			}
			s.identified.Store(true)
		}
		s.suspectForwarded()
		s.noteEncrypted()
		s.emit()
		defer s.saveLate() // also if the handler panics
		next.ServeHTTP(rw, r)
		s.suspectBypass(w)
		rw.start(http.StatusOK)
	})
}

// newState returns the state of a request.
func (c *Core) newState(w http.ResponseWriter, r *http.Request) *state {
	if r.Trailer == nil && len(r.TransferEncoding) > 0 {
		r.Trailer = http.Header{} // if the server made the map after the body was read, our copy would not have it
	}
	s := &state{core: c, arrival: arrival{request: r, forwarded: r.Header["X-Forwarded-For"]}}
	s.ctx.Context, s.ctx.state = r.Context(), s
	s.served = *r.WithContext(&s.ctx)       // the state has room for it, so this allocates nothing
	if r.RequestURI == "" && r.URL != nil { // a test made the request, and no server
		u := *r.URL
		s.url = &u
	}
	s.writer.ResponseWriter, s.writer.state = w, s
	if len(w.Header()) > 0 {
		s.writer.before = w.Header().Clone()
	}
	return s
}

// suspectForwarded notes, once for each Core, that X-Forwarded-For came from an address
// that is not a trusted proxy's.
func (s *state) suspectForwarded() {
	told := &s.core.proxies.forwarded
	if len(s.forwarded) == 0 || told.Load() {
		return
	}
	if _, trusted := clientip.Proxies(s.core.cfg.Network.TrustedProxies).Peer(s.request.RemoteAddr); !trusted && told.CompareAndSwap(false, true) {
		s.note(Event{Kind: EventProxySuspected, Err: errForwarded})
	}
}

// noteEncrypted notes for Doctor that browsers use https although BaseURL has http. A client
// can make the header up; Doctor says so.
func (s *state) noteEncrypted() {
	encrypted := &s.core.proxies.encrypted
	if s.core.cookies.secure || encrypted.Load() {
		return
	}
	first, _, _ := strings.Cut(field(s.request.Header, "X-Forwarded-Proto"), ",")
	if s.request.TLS != nil || strings.EqualFold(strings.TrimSpace(first), "https") {
		encrypted.Store(true)
	}
}

// suspectBypass logs, once for each Core, that the handler has written its answer to w itself,
// and not to the writer that LoadAndSave gave it. No cookie was set then: a login has no
// effect. This happens if LoadAndSave runs as a middleware of a router that keeps a writer
// of its own. Such a writer has a method Written; that of net/http has not.
func (s *state) suspectBypass(w http.ResponseWriter) {
	if s.writer.started {
		return
	}
	if router, ok := w.(interface{ Written() bool }); ok && router.Written() && s.core.bypassed.CompareAndSwap(false, true) {
		s.core.cfg.Logger.ErrorContext(&s.ctx, "auth: an answer was written around LoadAndSave, so its cookies were lost: wrap the whole router with LoadAndSave (docs/routers.md)",
			slog.String("writer", fmt.Sprintf("%T", w)))
	}
}

// start commits, once, before an answer with this status. It answers with an error page
// if the commit fails. It also does so if a store has failed in this request and the
// handler is about to answer with another status: the handler's page may be the one for
// anonymous visitors.
func (w *responseWriter) start(status int) {
	if w.started {
		return
	}
	w.started = true
	s := w.state
	if w.failed = s.hasMet(); w.failed != nil {
		if status == statusOf(w.failed) { // the handler reports the failure itself
			w.failed = nil
		} else {
			w.reset()
			s.keepWaiting()
		}
	}
	if err := s.commit(w.Header()); err != nil {
		w.reset()
		w.failed = err
	}
	if w.failed != nil {
		s.core.fail(w.ResponseWriter, &s.served, statusOf(w.failed), w.failed)
	}
}

// keepWaiting takes back what the handler did with flash messages and with the page
// that follows the login. The browser gets an error page instead, so both must be there
// for the next request.
func (s *state) keepWaiting() {
	s.op.Lock()
	defer s.op.Unlock()
	s.flashChanged, s.next = false, Next{}
	s.dropCookie(s.core.cookies.next)
}

// reset restores the headers to what they were before the handler ran.
func (w *responseWriter) reset() {
	h := w.Header()
	clear(h)
	maps.Copy(h, w.before)
}

func (w *responseWriter) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status) // informational: several may precede the header
		return
	}
	again := w.started
	if w.start(status); w.failed == nil {
		if status == http.StatusRequestEntityTooLarge {
			tooLarge(w.ResponseWriter)
		}
		w.ResponseWriter.WriteHeader(status) // logs a second call
	} else if again {
		w.state.core.cfg.Logger.Debug("auth: WriteHeader after an error page")
	}
}

// tooLarge tells the server that the request's body is too large. The server then reads
// no more of it and closes the connection.
//
// http.MaxBytesReader does this only if its writer is the server's own: it calls an
// unexported method, which our type cannot have, and does not look at Unwrap. So if the
// handler answers 413, tooLarge makes a reader that is over its limit call that method.
func tooLarge(w http.ResponseWriter) {
	over := http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0)
	_, _ = over.Read(make([]byte, 1))
}

func (w *responseWriter) Write(b []byte) (int, error) {
	if w.start(http.StatusOK); w.failed != nil {
		return 0, w.failed
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom lets the server send a file without copying it through user space.
func (w *responseWriter) ReadFrom(src io.Reader) (int64, error) {
	if w.start(http.StatusOK); w.failed != nil {
		return 0, w.failed
	}
	return io.Copy(w.ResponseWriter, src)
}

func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *responseWriter) FlushError() error {
	if w.start(http.StatusOK); w.failed != nil {
		return w.failed
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.start(http.StatusSwitchingProtocols); w.failed != nil {
		return nil, nil, w.failed
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// commit stores what the request changed and sets the cookies. It runs once,
// before the response's header goes out.
func (s *state) commit(h http.Header) error {
	defer s.emit()
	ready := s.hasData()
	var err error
	if s.mayHaveChanged() && s.failed == nil { // after a failure, data has reported it
		err = s.saveAll()
	}
	s.op.Lock()
	defer s.op.Unlock()
	if s.committed = true; s.unread {
		err = s.failed
	}
	if err != nil {
		return err
	}
	if !s.next.IsZero() {
		s.setCookie(s.core.cookies.next, s.sealNext(), time.Time{})
	}
	set := false
	if !s.own || s.cur.isLogin() { // else the request has credentials of its own, and gets no cookies
		set = s.setCookies(h)
	}
	if s.varies || s.flashRead || ready {
		s.vary(h, "Cookie")
		if len(s.core.cfg.Credentials) > 0 {
			s.vary(h, "Authorization")
		}
	}
	// A page that was made for one user must not be shown to another one, nor by the
	// back button after a logout. So it gets no-store, unless the application has set
	// Cache-Control. An answer that sets a cookie always gets no-store.
	personal := (s.varies || ready) && (s.cur != nil || s.user != nil || s.loggedOut)
	shown := s.flashRead && len(s.flash) > 0 // messages were shown, and stay in the cookie
	if set || shown || personal && field(h, "Cache-Control") == "" {
		s.noStore(h)
	}
	return nil
}

// setCookies writes the cookies of the answer, and reports whether it wrote any. The caller
// holds op.
func (s *state) setCookies(h http.Header) bool {
	const name = "Set-Cookie"
	before := len(h[name])
	for _, set := range s.cookies {
		h[name] = append(h[name], s.core.cookies.line(set, s.core.cfg.Now()))
	}
	if s.flashChanged {
		if line := s.flashLine(); line != "" {
			h[name] = append(h[name], line)
		}
	}
	return len(h[name]) > before
}
