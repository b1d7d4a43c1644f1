package pages

import (
	"errors"
	"html/template"
	"net/url"
	"strings"

	"github.com/go-login/auth"
)

// codesPage makes recovery codes: those of the manager's first recovery factor.
func (p *Pages) codesPage() *page {
	t := &p.texts
	return &page{
		name: "recoverycodes", title: &t.CodesTitle,
		texts: []text{
			must(&t.CodesTitle, "Recovery codes"),
			must(&t.CodesButton, "Make new codes"),
			must(&t.CodesLeft, "Recovery codes left: {left}."),
			must(&t.CodesFew, "Recovery codes left: {left}. Make new ones soon."),
			must(&t.CodesNone, "You have no recovery codes. If you lose your second factor, you cannot log in."),
			may(&t.CodesExplain, "If you have lost your second factor, a recovery code logs you in. Each one works once. New codes replace the old ones."),
			must(&t.CodesKeep, "Keep them somewhere safe; they are shown only once."),
			must(&t.CodesDownload, "Download"),
			must(&t.CodesCopy, "Copy"),
			must(&t.CodesCopied, "Copied"),
			must(&t.CodesPrint, "Print"),
			must(&t.CodesSaved, "I have saved them"),
		},
		path: "/account/recovery-codes", url: &p.urls.RecoveryCodes, absent: len(p.recoveryFactors()) == 0,
		stays: "take the BackupFactor out of Factors of auth.Config",
		who:   enrolling, own: true, fields: []string{"next"},
		form: p.codesForm, get: p.showCodes, post: p.makeCodes,
		sample: func(page *Page) {
			sampleFactors(page)
			page.Codes, page.CodesFile = []string{"text"}, codesFile([]string{"text"})
		},
	}
}

func (p *Pages) codesForm(q *request) *Form {
	f := newForm(p.urls.RecoveryCodes, p.texts.CodesButton, nil)
	f.Next = q.next().String()
	return f
}

// showCodes says how many codes are left. It cannot show the codes: only their hashes are
// stored.
func (p *Pages) showCodes(q *request) answer {
	a := p.withFactors(q, p.show(q))
	if a.page != nil && !a.page.TwoFactor { // then no login asks for a code
		return answer{to: p.urls.TwoFactor}
	}
	return a
}

// codesFile returns a link that downloads the codes. They are in the link itself, because the
// server does not keep them.
func codesFile(codes []string) template.URL {
	return template.URL("data:text/plain;charset=utf-8," + url.PathEscape(strings.Join(codes, "\r\n")+"\r\n")) //nolint:gosec // the factor has made it, and no user
}

// makeCodes makes new codes, and shows them this once.
func (p *Pages) makeCodes(q *request) answer {
	codes, err := p.core.NewRecoveryCodes(q.Context(), p.recoveryFactors()[0])
	switch {
	case err == nil:
		a := p.draw(q, nil)
		a.page.Codes, a.page.CodesFile = codes, codesFile(codes)
		a.page.Next = q.next().String()
		return a
	case errors.Is(err, auth.ErrNoFactor): // the user has no other factor
		return answer{to: p.urls.TwoFactor, why: err}
	}
	return answer{err: err}
}
