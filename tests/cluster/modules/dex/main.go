// A dex whose people and their groups are in one file: with dex's own storage of passwords nobody has groups.
//
// What is signed in to is dex itself, unchanged; only where it looks passwords up is ours.
// Use: dex FILE, with the JSON of `settings`.
package main

import (
	"context"
	"encoding/json"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/dexidp/dex/connector"
	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"github.com/dexidp/dex/web"
	"github.com/prometheus/client_golang/prometheus"
)

type person struct {
	ID       string   `json:"id"`
	Login    string   `json:"login"`
	Password string   `json:"password"`
	Name     string   `json:"name"`
	Groups   []string `json:"groups"`
}

type settings struct {
	Issuer  string           `json:"issuer"`
	Listen  string           `json:"listen"`
	Seconds int              `json:"seconds"` // for which an ID token is good
	Clients []storage.Client `json:"clients"`
	People  []person         `json:"people"`
}

// people is a connector: it knows who has which password.
type people []person

func (p people) Prompt() string { return "" }

func (p people) Login(_ context.Context, _ connector.Scopes, login, password string) (connector.Identity, bool, error) {
	for _, one := range p {
		if one.Login == login && one.Password == password {
			return connector.Identity{
				UserID: one.ID, Username: one.Name, Email: login, EmailVerified: true, Groups: one.Groups,
			}, true, nil
		}
	}
	return connector.Identity{}, false, nil
}

// opened is the connector's configuration, which is the connector.
type opened struct{ people }

func (o opened) Open(string, *slog.Logger) (connector.Connector, error) { return o.people, nil }

func main() {
	var given settings
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(text, &given)
	}
	if err != nil {
		log.Fatal(err)
	}
	server.ConnectorsConfig["people"] = func() server.ConnectorConfig { return opened{given.People} }
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	store := storage.WithStaticClients(memory.New(logger), given.Clients)
	store = storage.WithStaticConnectors(store, []storage.Connector{{ID: "people", Type: "people", Name: "People"}})
	dex, err := server.NewServer(context.Background(), server.Config{
		Issuer:             given.Issuer,
		Storage:            store,
		SkipApprovalScreen: true,
		IDTokensValidFor:   time.Duration(given.Seconds) * time.Second,
		Web:                server.WebConfig{WebFS: web.FS()},
		Logger:             logger,
		PrometheusRegistry: prometheus.NewRegistry(),
	})
	if err == nil {
		err = http.ListenAndServe(given.Listen, dex)
	}
	log.Fatal(err)
}
