package pages

// allPages returns the table of pages. The routes, the URLs, the default texts and the
// checks of settings and templates follow from it.
func (p *Pages) allPages() []*page {
	return []*page{
		p.registerPage(),
		p.loginPage(),
		p.passkeyLoginPage(),
		p.switchPage(),
		p.logoutPage(),
		p.forgotPage(),
		p.resetPage(),
		p.verifyPage(),
		p.resendPage(),
		p.inboxPage(),
		p.accountPage(),
		p.passwordPage(),
		p.changePage(),
		p.emailPage(),
		p.confirmPage(),
		p.undoPage(),
		p.sessionsPage(),
		p.closePage(),
		p.closedPage(),
		p.refreshPage(),
		p.factorPage(),
		p.mailLoginPage(),
		p.mailLinkPage(),
		p.twoFactorPage(),
		p.codesPage(),
		p.passkeysPage(),
		p.identitiesPage(),
		p.impersonationPage(),
		p.errorPage(),
		p.noticePage(),
		p.stylesheetPage(),
		p.scriptPage(),
		p.openAPIPage(),
		p.passkeyScriptPage(), // after all others: its path must be none of theirs
	}
}

// A page is an entry of the table: everything that distinguishes one page from the
// others. To add a page, write a file with its entry and its handlers, add the entry to
// allPages, and write the template. TestDocs and TestDefaults tell what is then missing
// in the documentation.
type page struct {
	name  string  // name of the template without .html, and of the form; empty if nothing is shown
	title *string // the title, a field of Texts
	texts []text  // the fields of Texts that belong to this page, and their defaults

	path     string   // path below Config.Prefix; empty if the page is only shown at the paths of others
	atRoot   bool     // the path is not below Config.Prefix
	url      *string  // the page's URL, a field of URLs
	mails    bool     // the page is served only if auth.Config has a Mailer
	absent   bool     // the page is not served, because auth.Config has not what it needs
	provided bool     // the page is served only if auth.Core has providers, which may come after New
	setting  *setting // a setting of auth.Config that must be the page's URL, or nil
	stays    string   // why Config.Without cannot leave the page out; empty if it can

	who       who  // who may see the page and send its form
	freshPost bool // only freshUsers may send the form, though all users see it
	own       bool // the form is tied to the user who opened it: see Core.SealForm
	once      bool // the form is not done twice: see Core.FormOnce
	pending   bool // the page is for a login that waits, and not for a login
	script    bool // the page is the script of passkeys
	asset     bool // the page is a file, and the same for programs

	// What the page's forms may have, besides form_user, form_once and proof: see allFields.
	fields []string // texts
	flags  []string // check boxes: in JSON, true or false
	open   string   // what other fields they may have, for OpenAPI; empty: none

	queries []string // what the URL may have in its query, besides next, token and new
	raw     bool     // a program's GET gets what the browser's script gets

	form      func(*request) *Form         // returns the page's form; nil for a page without one
	link      *link                        // set if a mailed link opens the page: how it uses the token
	again     handler                      // shows the form with what was typed, after a failure; nil if the form has only secrets
	get, post handler                      // answer these methods; nil for a method that is not allowed
	refused   func(*request, error) answer // answers users who may not see the page; nil for Core.Error
	sample    func(*Page)                  // adds data to the sample page on which New tries the template; or nil
}

// A handler answers a request of somebody who may see the page. It does not write the
// response itself.
type handler func(*request) answer

// A who says who may see a page and send its form. The zero value is users, so a page
// whose entry forgets to say it is not open to everybody.
type who int

const (
	users            who = iota // users who are logged in
	enrolling                   // users who are logged in, also those who must set up a second factor before they reach anything else
	freshUsers                  // users who have shown the password within Config.FreshFor
	visitors                    // browsers that are not logged in; users go on to where the login leads
	visitorsAndUsers            // both; the user is loaded first, and if that fails, so does the request
	anybody                     // both; the handler runs without loading the user
)

// A setting is a field of URLs of auth.Config.
type setting struct {
	name string // name of the field
	url  string // its value
	page string // the page, for error messages

	optional bool // Config.Without may leave out the page even if the setting leads to it
}

// A route is what one path leads to: a page, a page that a mailed link opens, or
// both. With both, the browser sees the second one while it has a token.
type route struct{ page, linked *page }

func (t route) pages() []*page {
	var pages []*page
	for _, page := range []*page{t.page, t.linked} {
		if page != nil {
			pages = append(pages, page)
		}
	}
	return pages
}

// provided reports whether the path exists only if there are providers.
func (t route) provided() bool { return t.page != nil && t.page.provided }

// methods returns whether the path answers GET and POST.
func (t route) methods() (get, post bool) {
	for _, page := range t.pages() {
		get, post = get || page.get != nil, post || page.post != nil
	}
	return get, post
}

func allow(get, post bool) string {
	switch {
	case !post:
		return "GET, HEAD"
	case !get:
		return "POST"
	}
	return "GET, HEAD, POST"
}
