package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// Language returns the language in which the request is answered: one of
// Config.Languages, or "" if there are none. It is the one that Config.Language returns
// or, otherwise, the one that the client prefers by Accept-Language. Without a request
// inside LoadAndSave it is the first one.
//
// If your own pages depend on it, send Vary: Accept-Language. Package pages does.
func (c *Core) Language(ctx context.Context) string {
	return c.languageOf(c.clientOf(ctx))
}

// languageOf is Language for the state of a request, or for nil.
func (c *Core) languageOf(s *state) string {
	switch {
	case len(c.cfg.Languages) == 0:
		return ""
	case s == nil:
		return c.cfg.Languages[0]
	}
	if c.cfg.Language != nil {
		if chosen := c.offered(c.cfg.Language(s.request)); chosen != "" {
			return chosen
		}
	}
	return c.cfg.Languages[preferred(c.languages, s.request.Header)]
}

// mailLanguage returns the language of a mail to a user.
func (c *Core) mailLanguage(s *state, user User) string {
	if c.cfg.MailLanguage != nil && user != nil {
		if chosen := c.offered(c.cfg.MailLanguage(user)); chosen != "" {
			return chosen
		}
	}
	return c.languageOf(s)
}

// offered returns the one of Config.Languages that an application has named, in any
// spelling, or "".
func (c *Core) offered(tag string) string {
	for _, offered := range c.cfg.Languages {
		if strings.EqualFold(offered, tag) {
			return offered
		}
	}
	return ""
}

// maxAcceptLanguage is how many bytes of Accept-Language are read. Browsers send less
// than 100.
const maxAcceptLanguage = 1000

// preferred returns the index of the language that suits a request best by its
// Accept-Language (RFC 9110, section 12.5.4). It is 0 if none suits.
func preferred(languages language.Matcher, h http.Header) int {
	line := strings.Join(h["Accept-Language"], ",")
	if line == "" || len(line) > maxAcceptLanguage {
		return 0
	}
	wanted, _, err := language.ParseAcceptLanguage(line)
	if err != nil {
		return 0
	}
	_, index, confidence := languages.Match(wanted...)
	if confidence == language.No {
		return 0
	}
	return index
}

// parseLanguages returns the tags in their usual spelling, and what chooses among them.
func parseLanguages(cfg *Config) (language.Matcher, error) {
	if len(cfg.Languages) == 0 {
		if cfg.Language != nil || cfg.MailLanguage != nil {
			return nil, errors.New("auth: Config.Language and Config.MailLanguage have no effect without Languages; set the languages to choose from")
		}
		return nil, nil
	}
	cfg.Languages = slices.Clone(cfg.Languages)
	var tags []language.Tag
	for i, text := range cfg.Languages {
		tag, err := language.Parse(text)
		if err != nil || tag == language.Und {
			return nil, fmt.Errorf("auth: Config.Languages[%d] is %.40q; use a language tag such as \"en\" or \"pt-BR\"", i, text)
		}
		cfg.Languages[i] = tag.String()
		if slices.Contains(cfg.Languages[:i], cfg.Languages[i]) {
			return nil, fmt.Errorf("auth: Config.Languages has %q twice; remove one of them", cfg.Languages[i])
		}
		tags = append(tags, tag)
	}
	return language.NewMatcher(tags), nil
}

// defaultMessage is DefaultMessage in the language of the request.
func (c *Core) defaultMessage(r *http.Request, reason error) Flash {
	base, _, _ := strings.Cut(c.Language(r.Context()), "-")
	return message(r, reason, messagesIn(base))
}
