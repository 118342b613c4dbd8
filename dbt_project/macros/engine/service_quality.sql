{#-
    How well a group of contacts was served, as columns: the marts of service quality differ by what they group by only.
    Response, closing and satisfaction are those of the contacts that have one; a contact counts as answered first time
    when the customer did not ask about the same topic again within 30 days, once these days are over.
-#}
{% macro service_quality_measures() -%}
    cast(count(*) as integer) as contacts_count,
    cast(count(hours_to_response) as integer) as responded_contacts_count,
    cast({{ quantile('hours_to_response', 0.5) }} as double) as median_hours_to_response,
    cast({{ quantile('hours_to_response', 0.9) }} as double) as p90_hours_to_response,
    cast(count(hours_to_close) as integer) as closed_contacts_count,
    -- Whole seconds add up to the same sum in any order; hours would differ in their last bits.
    cast(sum(cast(round(hours_to_close * 3600) as bigint)) as double)
    / (3600 * nullif(count(hours_to_close), 0)) as mean_hours_to_close,
    cast({{ quantile('hours_to_close', 0.5) }} as double) as median_hours_to_close,
    cast({{ quantile('hours_to_close', 0.9) }} as double) as p90_hours_to_close,
    {{ percentage('count(case when hours_to_close <= 24 then 1 end)', 'count(*)') }} as share_closed_24h_pct,
    cast(count(satisfaction) as integer) as satisfaction_answers_count,
    cast(avg(satisfaction) as double) as mean_satisfaction,
    cast(count(case when is_repeat then 1 end) as integer) as repeat_contacts_count,
    cast(count(is_answered_first_time) as integer) as judged_contacts_count,
    {{ percentage('count(case when is_answered_first_time then 1 end)', 'count(is_answered_first_time)') }}
        as answered_first_time_pct
{%- endmacro %}
