package pages

func (p *Pages) accountPage() *page {
	t := &p.texts
	return &page{
		name: "account", title: &t.AccountTitle,
		texts: []text{
			must(&t.AccountTitle, "Account"),
			must(&t.ChangeLink, "Change"),
			must(&t.ManageLink, "Manage"),
			must(&t.VerifyLink, "Verify"),
			must(&t.NoPassword, "None"),
			must(&t.EmailVerified, "Verified"),
			must(&t.EmailUnverified, "Not verified"),
		},
		path: "/account", url: &p.urls.Account,
		who: users, get: p.showAccount,
		sample: sampleFactors,
	}
}

// showAccount also tells the browser of a user with passkeys which name the account has now.
func (p *Pages) showAccount(q *request) answer { return p.withKnown(q, p.withFactors(q, p.show(q))) }
