package pages

func (p *Pages) accountPage() *page {
	t := &p.texts
	return &page{
		name: "account", title: &t.AccountTitle,
		texts: []text{
			must(&t.AccountTitle, "Account"),
			must(&t.EmailVerified, "verified"),
			must(&t.EmailUnverified, "not verified"),
		},
		path: "/account", url: &p.urls.Account,
		who: users, get: p.showAccount,
		sample: sampleFactors,
	}
}

func (p *Pages) showAccount(q *request) answer { return p.withFactors(q, p.show(q)) }
