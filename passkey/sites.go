package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/factorkit"
	"github.com/go-login/auth/internal/wire"
	"golang.org/x/net/publicsuffix"
)

// maxLabels is how many names of sites, such as "example" of example.co.uk, a browser reads
// in the document of RelatedOrigins (WebAuthn Level 3, 5.11).
const maxLabels = 5

// checkSite checks the settings that say where passkeys work.
func checkSite(rpID string, origins []string, own string) error {
	if !slices.Contains(origins, own) {
		return fmt.Errorf("passkey: Config.Origins does not have %s; add it, because it is auth.Config.BaseURL", own)
	}
	var labels []string
	inside := false
	for i, origin := range origins {
		host, err := hostOf(origin)
		if err != nil {
			setting := fmt.Sprintf("passkey: Config.Origins[%d]", i)
			if origin == own {
				setting = "passkey: auth.Config.BaseURL"
			}
			return fmt.Errorf("%s is %.100q; %w", setting, origin, err)
		}
		inside = inside || host == rpID || strings.HasSuffix(host, "."+rpID) && !isSuffix(rpID)
		if label := labelOf(host); !slices.Contains(labels, label) {
			labels = append(labels, label)
		}
	}
	switch {
	case !inside:
		return fmt.Errorf("passkey: Config.RPID is %.100q; use the host of auth.Config.BaseURL, or a domain above it that is yours", rpID)
	case len(labels) > maxLabels:
		return fmt.Errorf("passkey: Config.Origins has the sites %s; browsers read %d of them", strings.Join(labels, ", "), maxLabels)
	}
	return nil
}

// hostOf returns the host of an origin that is written as browsers write it, if passkeys
// work there.
func hostOf(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme+"://"+u.Host != origin || u.Host != strings.ToLower(u.Host) || u.Hostname() == "" ||
		u.Port() == "443" && u.Scheme == "https" || u.Port() == "80" && u.Scheme == "http" {
		return "", errors.New("use a scheme and a host, such as https://app.example")
	}
	host := u.Hostname()
	switch {
	case net.ParseIP(host) != nil:
		return "", errors.New("browsers have no passkeys for IP addresses; use a name, such as http://localhost:8080")
	case u.Scheme == "https", u.Scheme == "http" && (host == "localhost" || strings.HasSuffix(host, ".localhost")):
		return host, nil
	}
	return "", errors.New("use https, or http on localhost")
}

// isSuffix reports whether a domain is one below which anybody can have a name, such as
// co.uk. Browsers refuse passkeys for it.
func isSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// labelOf returns the name of the site that a host belongs to, as browsers count them.
func labelOf(host string) string {
	site, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil { // it is a suffix itself, such as localhost
		return host
	}
	label, _, _ := strings.Cut(site, ".")
	return label
}

// RelatedOrigins serves the document by which a browser learns that all of Config.Origins use
// the passkeys of Config.RPID. Mount it on the host Config.RPID:
//
//	mux.Handle("GET /.well-known/webauthn", passkeys.RelatedOrigins())
//
// It is needed only if one of the origins is outside Config.RPID.
func (f *Factor) RelatedOrigins() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if f.feature == nil {
			http.Error(w, errNotBound.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string][]string{"origins": f.origins})
	})
}

// Check reports whether users may have passkeys that this site cannot use, because
// Config.RPID or the host of auth.Config.BaseURL has changed since they were made. It
// returns an error that names the earlier ones. Call it when the application starts, or in a
// health check.
//
// It remembers every RPID with which a passkey was added, also after all of those passkeys
// were removed. So it is a warning, and no reason to stop.
func (f *Factor) Check(ctx context.Context) error {
	others, err := f.earlierSites(ctx)
	if err != nil || len(others) == 0 {
		return err
	}
	return fmt.Errorf("passkey: users have added passkeys for %s, and this site is %s: they do not work; set passkey.Config.RPID back, or let the users add new ones", strings.Join(others, ", "), f.rpID)
}

// FindingOtherSite says that users may have passkeys that do not work on this site. See
// Factor.Check.
const FindingOtherSite auth.FindingCode = "passkey.other-site"

// Diagnose implements auth.Diagnoser. It finds what Check does.
func (f *Factor) Diagnose(ctx context.Context, _ bool) ([]auth.Finding, error) {
	others, err := f.earlierSites(ctx)
	if err != nil || len(others) == 0 {
		return nil, err
	}
	return []auth.Finding{{
		Code: FindingOtherSite, Severity: auth.SeverityWarning,
		Text: fmt.Sprintf("Users have added passkeys for %s, and this site is %s. These passkeys do not work.", strings.Join(others, ", "), f.rpID),
		Fix:  "Set passkey.Config.RPID back, or let the users add new passkeys. If they all have, the finding stays, and nothing needs to be done.",
	}}, nil
}

// earlierSites returns the RPIDs, other than the current one, with which passkeys were added.
func (f *Factor) earlierSites(ctx context.Context) ([]string, error) {
	if f.feature == nil {
		return nil, errNotBound
	}
	r, err := f.feature.Get(ctx, sitesKey)
	if errors.Is(err, auth.ErrRecordNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(decodeSites(r.Data), func(rpID string) bool { return rpID == f.rpID }), nil
}

// noteSite notes for Check that a passkey was added. The record has the version, and the
// RPIDs as texts.
func (f *Factor) noteSite(ctx context.Context) error {
	first := auth.Record{Key: sitesKey, Data: encodeSites([]string{f.rpID})}
	return factorkit.ChangeOrInsert(ctx, f.feature, first, func(r *auth.Record) error {
		sites := decodeSites(r.Data)
		if slices.Contains(sites, f.rpID) {
			return factorkit.ErrKept
		}
		r.Data = encodeSites(append(sites, f.rpID))
		return nil
	})
}

const sitesVersion = 1

func encodeSites(sites []string) []byte {
	b := []byte{sitesVersion}
	for _, site := range sites {
		b = wire.AppendText(b, site)
	}
	return b
}

func decodeSites(data []byte) (sites []string) {
	r := wire.NewReader(string(data))
	if r.Byte() != sitesVersion {
		return nil
	}
	for r.Rest() != "" {
		if site := r.Text(); r.OK() {
			sites = append(sites, site)
		}
	}
	return sites
}
