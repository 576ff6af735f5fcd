-- The outbox of a PostgreSQL database that Stockweave reads: psql -v ON_ERROR_STOP=1 -f outbox.sql
--
-- Run it once, as the owner of the database or a superuser; running it again does no harm.
-- PostgreSQL 13 or newer. Then give the two roles to those who need them:
--
--   grant stockweave_writer to shop_app;        -- whoever puts messages
--   create role stockweave_ingest login password '...' in role stockweave_reader;
--
-- and put messages in the transaction that changes your own tables:
--
--   select stockweave.stockweave_outbox_put('wms', '{"sku": "SKU-1", "qty": 5}'::jsonb, stream_key => 'order-17');
--
-- Both take effect, or neither does. Messages of one stream key are read in the order of
-- their ids among those that are committed: transactions that write one stream at the
-- same time and must keep an order have to wait for each other, as they do when both
-- change the same row of yours.
begin;

create schema if not exists stockweave;

create table if not exists stockweave.outbox (
  id           bigint generated always as identity primary key,
  source       text not null check (source ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),  -- the name of its file in policies/sources
  stream_key   text not null default '' check (octet_length(stream_key) <= 255),  -- the document
  message_id   text check (octet_length(message_id) between 1 and 255),           -- your own id of the message
  content_type text not null default 'application/json' check (octet_length(content_type) <= 255),
  headers      jsonb not null default '{}' check (jsonb_typeof(headers) = 'object'),
  body         bytea not null check (octet_length(body) between 1 and 1048576),   -- the message as a push would send it
  created_at   timestamptz not null default now(),
  delivered_at timestamptz,  -- set where the source says keep; else the row is deleted
  refused      text          -- why Stockweave did not take it: correct the row and set this to null
);

-- What waits is few; what is kept may be many.
create index if not exists outbox_waiting on stockweave.outbox (source, id) where delivered_at is null and refused is null;
create index if not exists outbox_delivered on stockweave.outbox (source, delivered_at) where delivered_at is not null;
-- A message put twice under one id, while the first still stands here, is one.
create unique index if not exists outbox_message on stockweave.outbox (source, message_id) where message_id is not null;

-- Wakes the reader at the commit. Without it rows are found by polling. With very many
-- small transactions leave it out: commits that notify wait for each other.
create or replace function stockweave.outbox_notify() returns trigger
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_notify('stockweave_outbox', '');
  return null;
end $$;

drop trigger if exists outbox_notify on stockweave.outbox;
create trigger outbox_notify after insert on stockweave.outbox
  for each statement execute function stockweave.outbox_notify();

-- stockweave_outbox_put puts a message and returns the id of its row, that of the
-- first where message_id was put before.
create or replace function stockweave.stockweave_outbox_put(
  source text, body bytea, stream_key text default '', message_id text default null,
  content_type text default 'application/octet-stream', headers jsonb default '{}'
) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  made bigint;
begin
  insert into stockweave.outbox as o (source, stream_key, message_id, content_type, headers, body)
  values ($1, coalesce($3, ''), $4, coalesce($5, 'application/octet-stream'), coalesce($6, '{}'), $2)
  on conflict (source, message_id) where message_id is not null do nothing
  returning o.id into made;
  if made is null then
    select o.id into made from stockweave.outbox o where o.source = $1 and o.message_id = $4;
  end if;
  return made;
end $$;

create or replace function stockweave.stockweave_outbox_put(
  source text, body jsonb, stream_key text default '', message_id text default null, headers jsonb default '{}'
) returns bigint
  language sql security definer set search_path = pg_catalog, pg_temp as $$
  select stockweave.stockweave_outbox_put($1, pg_catalog.convert_to($2::text, 'UTF8'), $3, $4, 'application/json', $5)
$$;

create or replace function stockweave.stockweave_outbox_put(
  source text, body text, stream_key text default '', message_id text default null,
  content_type text default 'text/plain', headers jsonb default '{}'
) returns bigint
  language sql security definer set search_path = pg_catalog, pg_temp as $$
  select stockweave.stockweave_outbox_put($1, pg_catalog.convert_to($2, 'UTF8'), $3, $4, $5, $6)
$$;

-- Who puts may do nothing but put; who reads may mark and delete, and never write a body.
do $$
begin
  if not exists (select from pg_roles where rolname = 'stockweave_writer') then create role stockweave_writer nologin; end if;
  if not exists (select from pg_roles where rolname = 'stockweave_reader') then create role stockweave_reader nologin; end if;
end $$;

revoke all on schema stockweave from public;
revoke all on all tables in schema stockweave from public;
revoke all on all functions in schema stockweave from public;
grant usage on schema stockweave to stockweave_writer, stockweave_reader;
grant execute on function stockweave.stockweave_outbox_put(text, bytea, text, text, text, jsonb) to stockweave_writer;
grant execute on function stockweave.stockweave_outbox_put(text, jsonb, text, text, jsonb) to stockweave_writer;
grant execute on function stockweave.stockweave_outbox_put(text, text, text, text, text, jsonb) to stockweave_writer;
grant select, delete on stockweave.outbox to stockweave_reader;
grant update (delivered_at, refused) on stockweave.outbox to stockweave_reader;

commit;
