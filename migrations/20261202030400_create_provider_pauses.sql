-- Why requests to a provider wait, for processes that may not read its sessions and logins: a view has the rights of its owner.
-- Only PayShack has logins. A valid session ends the pause after a refused login, for example one of corrected credentials.
CREATE VIEW provider_pauses AS
SELECT 'payshack'::text AS provider, 'login'::text AS reason, until, message
  FROM refused_logins
 WHERE until > now() AND NOT EXISTS (SELECT 1 FROM provider_sessions WHERE expires_at > now())
 UNION ALL
SELECT provider, 'rate_limit', next_at, NULL
  FROM request_slots
 WHERE next_at > now() + interval '1 second';
