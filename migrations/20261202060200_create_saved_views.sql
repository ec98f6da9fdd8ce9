-- Filters that people have saved under a name, for themselves or for everyone.

CREATE TABLE saved_views (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL,
    -- The page of the console that shows it.
    page       text        NOT NULL,
    filters    jsonb       NOT NULL,
    shared     boolean     NOT NULL,
    -- The key, or the signed-in person, that it belongs to.
    owner_key  uuid        NOT NULL,
    owner      text        NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE INDEX saved_views_by_owner ON saved_views (owner_key, created_at, id);
CREATE INDEX saved_views_shared ON saved_views (created_at, id) WHERE shared;
