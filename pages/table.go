package pages

// table is the list of all pages. The routes, the URLs, the texts and the templates
// follow from it.
func (p *Pages) allPages() []*page {
	return []*page{
		p.registerPage(),
		p.loginPage(),
		p.switchPage(),
		p.logoutPage(),
		p.forgotPage(),
		p.resetPage(),
		p.verifyPage(),
		p.resendPage(),
		p.accountPage(),
		p.passwordPage(),
		p.emailPage(),
		p.confirmPage(),
		p.undoPage(),
		p.sessionsPage(),
		p.closePage(),
		p.refreshPage(),
		p.errorPage(),
		p.stylesheetPage(),
	}
}

// A page is an entry of the table: everything that distinguishes one page from the
// others. To add a page, write a file with its entry and its handlers, add the entry
// to allPages, and write the template.
type page struct {
	name  string  // of the template, without .html, and of the form; empty for a path that shows no page
	title *string // the field of Texts with the title
	texts []text  // the fields of Texts that came with this page

	path    string   // below Config.Prefix; empty for a page that is shown at other pages' paths
	url     *string  // the field of URLs for path
	mails   bool     // the page is served only if auth.Config has a Mailer
	setting *setting // the setting of auth.Config that must be the page's URL, or nil

	who       who  // who may see the page and send its form
	freshPost bool // to send the form, the login must be fresh
	own       bool // the form changes the account of the user who opened it: see Core.SealForm
	once      bool // the form must not be done twice: see Core.FormOnce

	form      func(*request) *Form         // the page's form, with what was typed; nil for a page without one
	link      *link                        // how the page uses its token, if a mailed link opens it
	get, post handler                      // nil if the page does not answer the method
	refused   func(*request, error) answer // answers a request that who keeps out, in place of Core.Error; or nil
	sample    func(*Page)                  // fills in what New tries the template with, besides form and link; or nil
}

// A handler answers a request that may see the page. It writes nothing itself.
type handler func(*request) answer

// A who says who may see a page. The zero value admits the fewest of those that most
// pages need, so that a forgotten one does not open a page.
type who int

const (
	users            who = iota // users who are logged in
	freshUsers                  // users whose login is not older than Config.FreshFor
	visitors                    // only those who are not logged in; users go on to where the login leads
	visitorsAndUsers            // both; if the user cannot be loaded, the request fails
	anybody                     // both; the user is not loaded before the handler runs
)

// A setting is a URL of auth.Config.
type setting struct {
	name string // VerifyURL
	url  string // its value
	page string // what errors call the page
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
