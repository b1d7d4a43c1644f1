package auth

import "net/http"

// A Notice is a page with a text and a link that a package such as oauth shows to users. If
// package pages is set up, it draws the notice in the application's layout.
type Notice struct {
	Status         int    // HTTP status of the answer
	Lang           string // language of the texts, as in HTML's lang
	Title, Text    string // plain text; Text may be empty
	Link, LinkText string // where the page leads, and what the link says
	Forward        bool   // the browser goes there by itself
}

// A noticePage draws a Notice: see Core.DefaultNoticePage.
type noticePage = func(w http.ResponseWriter, r *http.Request, n Notice)
