with source as (

    select * from {{ landing_source('marketing_consents') }}

),

versions as (

    select
        customer_key,
        channel,
        given_date,
        withdrawn_date,
        known_at,
        revision,
        {{ visible_from_month_number('known_at', month_number('given_date')) }} as visible_from_month_number
    from source

),

final as (

    select
        versions.*,
        {{ visible_until_month_number(['customer_key', 'channel', 'given_date']) }} as visible_until_month_number,
        {{ is_latest_version(['customer_key', 'channel', 'given_date']) }} as is_latest_version
    from versions

)

select * from final
