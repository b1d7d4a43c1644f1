package main

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

func underGin(a *app) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	for _, path := range a.pages.Paths() {
		r.Any(path, gin.WrapH(a.pages))
	}
	members := r.Group("/", ginGuard(a.manager.RequireLogin))
	members.Any("/profile", gin.WrapF(a.profile))
	members.GET("/events", gin.WrapF(a.events))
	members.GET("/chat", gin.WrapF(a.chat))
	r.GET("/billing", ginGuard(a.manager.RequireFresh(freshFor)), gin.WrapF(a.billing))
	r.GET("/api/notes", ginGuard(a.manager.RequireScope("notes")), gin.WrapF(a.notes))
	r.POST("/visits", func(c *gin.Context) {
		c.String(http.StatusOK, "%d visits", a.count(c.Request.Context()))
	})
	return a.manager.LoadAndSave(r)
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
