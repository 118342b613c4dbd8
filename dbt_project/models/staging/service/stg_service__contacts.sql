with source as (

    select * from {{ landing_source('service_contacts') }}

),

local_times as (

    select
        contact_id,
        customer_key,
        channel,
        lower(topic) as topic,
        cast(satisfaction as integer) as satisfaction,
        {{ month_number(local_timestamp('opened_at')) }} as opened_month_number,
        opened_at,
        first_response_at,
        closed_at,
        known_at,
        revision
    from source

),

versions as (

    select
        local_times.*,
        {{ visible_from_month_number('known_at', 'opened_month_number') }} as visible_from_month_number
    from local_times

),

final as (

    select
        versions.*,
        {{ visible_until_month_number(['contact_id']) }} as visible_until_month_number,
        {{ is_latest_version(['contact_id']) }} as is_latest_version
    from versions

)

select * from final
