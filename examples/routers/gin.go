package main

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

func underGin(a *app) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(a.ginErrors)
	r.HandleMethodNotAllowed = true
	r.NoRoute(func(c *gin.Context) { a.errorPage(c.Writer, c.Request, http.StatusNotFound, nil) })
	r.NoMethod(func(c *gin.Context) { a.errorPage(c.Writer, c.Request, http.StatusMethodNotAllowed, nil) })
	for _, path := range a.pages.Paths() {
		r.Any(path, gin.WrapH(a.pages))
	}
	members := r.Group("/", ginGuard(a.manager.RequireLogin))
	members.Any("/profile", gin.WrapF(a.profile))
	members.GET("/events", gin.WrapF(a.events))
	members.GET("/chat", gin.WrapF(a.chat))
	r.GET("/billing", ginGuard(a.manager.RequireFresh(freshFor)), gin.WrapF(a.billing))
	r.GET("/api/notes", ginGuard(a.manager.RequireScope("notes")), gin.WrapF(a.notes))
	r.GET("/staff", func(c *gin.Context) {
		if err := a.manager.Check(c.Request.Context(), a.isStaff()); err != nil {
			_ = c.Error(err)
			return
		}
		c.String(http.StatusOK, "The staff only.")
	})
	r.GET("/print", func(c *gin.Context) { _ = c.Error(errPrinter) })
	r.POST("/visits", func(c *gin.Context) {
		c.String(http.StatusOK, "%d visits", a.count(c.Request.Context()))
	})
	return a.manager.LoadAndSave(r)
}

// ginErrors answers the errors that handlers add to the context.
func (a *app) ginErrors(c *gin.Context) {
	c.Next()
	if last := c.Errors.Last(); last != nil && !c.Writer.Written() {
		a.manager.Error(c.Writer, c.Request, last.Err) // knows the status, or leads to the login page
	}
}

// ginGuard makes a guard a middleware of gin. It is for guards only, and not for
// LoadAndSave: gin's handlers write to c.Writer, whatever writer a middleware passes on.
func ginGuard(guard func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed = true
			c.Request = r
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}
