module github.com/go-login/auth/examples

go 1.26

require (
	github.com/go-login/auth v0.0.0
	github.com/go-login/auth/sqlstore v0.0.0
	modernc.org/sqlite v1.61.1
)

replace (
	github.com/go-login/auth => ../
	github.com/go-login/auth/sqlstore => ../sqlstore
)
